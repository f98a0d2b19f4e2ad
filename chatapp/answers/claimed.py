"""One claimed answer in one runner: its lease, being stopped, and what its readers have been shown.

What every step of an answer stands on. Text is taken into `progress` first, then logged, and saved at least every two
seconds. Knows no model.
"""

import asyncio

from chatapp.answers.claims import Claim
from chatapp.answers.events import Event, Notice, Wire
from chatapp.answers.held import Held
from chatapp.answers.log import EventLog
from chatapp.answers.progress import Progress
from chatapp.answers.snapshots import save_snapshot
from chatapp.threads import in_thread


class Claimed(Held):
    """`progress` comes with the rows."""

    def __init__(self, claim: Claim, claimed_at: float) -> None:
        super().__init__(f"answer {claim.answer_id}", claimed_at)
        self.claim = claim
        self.log = EventLog()
        self.progress: Progress | None = None
        self._saving = asyncio.Lock()
        self._saved_version = 0

    async def save(self) -> None:
        """A snapshot, where something has changed since the last one. Raises OperationalError, InterfaceError."""
        progress = self.progress
        async with self._saving:
            if progress is None or progress.version == self._saved_version:
                return
            copy = progress.copy()
            if await in_thread(save_snapshot, self.claim, copy):
                self._saved_version = copy.version
            else:
                self.stop("lost")

    async def notice(self, code: str, params: Wire) -> None:
        assert self.progress is not None
        notice = Notice(self.claim.answer_id, self.claim.message_id, code, params)
        self.progress.note(notice)
        await self.patiently(self.save)  # readers fetch the message when they hear of it
        await self.append(notice)

    async def tell(self, code: str, params: Wire) -> None:
        """A notice of what stands in other rows already; it is kept with the next snapshot."""
        assert self.progress is not None
        notice = Notice(self.claim.answer_id, self.claim.message_id, code, params)
        self.progress.note(notice)
        await self.append(notice)

    async def notice_if_new(self, code: str, params: Wire) -> None:
        assert self.progress is not None
        if {"code": code, "params": params} not in self.progress.notices:
            await self.notice(code, params)

    async def append(self, event: Event) -> None:
        """Logs the event, waiting out a lost Valkey. A new epoch has lost the log: the rows are made whole at once."""
        assert self.progress is not None
        claim, before = self.claim, self.progress.position
        position = await self.patiently(
            self.log.append, claim.conversation_id, event, answer_id=claim.answer_id, fence=claim.fence
        )
        self.progress.position = position
        if before is None or position.epoch != before.epoch:
            self.progress.version += 1
            await self.patiently(self.save)
