"""The websocket of one tab: authorise, decode, call one service, answer. What it follows is in following.py.

Whose session it is, is read again with every request and every look; a look is due every few seconds, and it re-reads
the rights, rings every following, and joins groups that could not be joined while Valkey was away.
"""

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from channels.generic.websocket import AsyncWebsocketConsumer
from django.http import HttpRequest
from django.utils import translation

from chatapp.accounts.models import User
from chatapp.answers import doorbell, services
from chatapp.answers.events import Position, Wire
from chatapp.answers.following import AWAY, Following
from chatapp.answers.frames import (
    CancelAnswer,
    ContinueAnswer,
    Frame,
    Ping,
    Regenerate,
    ReplayAnswer,
    Request,
    SendMessage,
    Subscribe,
    Unsubscribe,
    decode,
    id_of,
    read_object,
)
from chatapp.answers.replies import accepted_frame, ended_frame, error_frame, snapshot_frame
from chatapp.conversations.access import allowed
from chatapp.conversations.selectors import get_conversation, read_thread
from chatapp.errors import ChatError, Internal, NotFound, TooMany, Unavailable
from chatapp.security import CLOSE_SIGNED_OUT, signed_in_user
from chatapp.threads import in_thread

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0  # how long a lost bell may delay an event, and a withdrawn right may live
CLOSE_FAULT = 1011  # the browser connects again and goes on from what it has
MAX_FOLLOWED = 8  # conversations a tab may follow; ours follows one or two


class SignedOut(Exception):
    """The session has ended, or the person was suspended: the socket closes."""


@dataclass(frozen=True, slots=True)
class Followed:
    following: Following
    task: asyncio.Task[None]

    def end(self) -> None:
        """Called by the following itself, too: then it goes on to its own end."""
        self.following.end()
        if self.task is not asyncio.current_task():
            self.task.cancel()


class ConversationConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._followed: dict[UUID, Followed] = {}
        self._look_now = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._is_over = False
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._is_over = True
            self._stop()

    async def connect(self) -> None:
        self._session_key: str | None = self.scope["session"].session_key
        self._language = self._browser_language = _browser_language(self.scope["headers"])
        await self.accept()
        try:
            viewer = await in_thread(self._viewer)
        except SignedOut:
            await self._finish(CLOSE_SIGNED_OUT)
            return
        self._person_group = doorbell.person_group(viewer.pk)
        await self._join(self._person_group)
        self._looking = asyncio.create_task(self._look_again_and_again())

    async def disconnect(self, code: int) -> None:
        self._is_over = True
        self._stop()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        with translation.override(self._language):
            values: dict[str, Any] = {}
            try:
                values = read_object(text_data)
                await self._serve(decode(values))
            except SignedOut:
                await self._finish(CLOSE_SIGNED_OUT)
            except ChatError as error:
                await self._refuse(error, values)
            except AWAY as error:
                logger.warning("frame not served: %s", type(error).__name__)
                await self._refuse(Unavailable(), values)
            except Exception:  # the last door: a fault of ours answers this frame and leaves the socket to the others
                logger.exception("frame not served")
                await self._refuse(Internal(), values)

    async def log_grew(self, message: dict[str, str]) -> None:
        followed = self._followed.get(UUID(message["conversation"]))
        if followed is not None:
            followed.following.ring()

    async def list_changed(self, message: dict[str, str]) -> None:
        await self._send({"type": "list_changed"})

    async def rights_changed(self, message: dict[str, str]) -> None:
        self._look_now.set()

    async def _serve(self, frame: Frame) -> None:
        match frame:
            case Ping():
                await self._send({"type": "pong"})
            case Subscribe():
                await self._subscribe(frame)
            case Unsubscribe():
                await self._unsubscribe(frame.conversation)
            case _:
                await self._send(await in_thread(self._request, frame))

    def _request(self, frame: Request) -> Wire:
        """In a thread: the accepted frame, or the error frame in the person's language."""
        viewer = self._viewer()
        with translation.override(self._language):
            try:
                return accepted_frame(_call_service(viewer, frame), frame.client_id)
            except ChatError as error:
                return error_frame(error, frame.client_id)

    async def _subscribe(self, frame: Subscribe) -> None:
        """The bell first, then the right, then the log: nothing can fall in between."""
        await self._unsubscribe(frame.conversation)
        if len(self._followed) >= MAX_FOLLOWED:
            raise TooMany(MAX_FOLLOWED)
        group = doorbell.conversation_group(frame.conversation)
        await self._join(group)
        try:
            await in_thread(lambda: get_conversation(self._viewer(), frame.conversation))
        except BaseException:
            await self._leave(group)
            raise
        following = Following(frame.conversation, frame.after, self._take_snapshot, self._send, self._report_away)
        task = asyncio.create_task(self._follow(frame.conversation, following))
        self._followed[frame.conversation] = Followed(following, task)

    async def _unsubscribe(self, conversation_id: UUID) -> None:
        followed = self._followed.pop(conversation_id, None)
        if followed is not None:
            followed.end()
            await self._leave(doorbell.conversation_group(conversation_id))

    async def _follow(self, conversation_id: UUID, following: Following) -> None:
        try:
            await following.run()
        except NotFound:
            await self._end(conversation_id)
        except SignedOut:
            await self._finish(CLOSE_SIGNED_OUT)
        except Exception:
            logger.exception("following of conversation %s failed", conversation_id)
            await self._finish(CLOSE_FAULT)

    async def _take_snapshot(self, conversation_id: UUID) -> tuple[Wire, Position]:
        thread = await in_thread(lambda: read_thread(self._viewer(), conversation_id))
        if not thread.position:
            raise Unavailable
        return snapshot_frame(thread), Position.parse(thread.position)

    async def _look_again_and_again(self) -> None:
        while not self._is_over:
            try:
                await asyncio.wait_for(self._look_now.wait(), LOOK_EVERY_S)
            except TimeoutError:
                pass
            self._look_now.clear()
            try:
                await self._look()
            except SignedOut:
                await self._finish(CLOSE_SIGNED_OUT)
            except AWAY as error:
                logger.warning("rights not read again: %s", type(error).__name__)
            except Exception:  # a socket whose rights nobody reads again must not stay
                logger.exception("looking again failed")
                await self._finish(CLOSE_FAULT)

    async def _look(self) -> None:
        readable = await in_thread(self._readable, list(self._followed))
        for conversation_id in [id for id in self._followed if id not in readable]:
            await self._end(conversation_id)
        await self._join(self._person_group)
        for conversation_id, followed in list(self._followed.items()):
            await self._join(doorbell.conversation_group(conversation_id))
            followed.following.ring()

    def _readable(self, conversation_ids: Iterable[UUID]) -> set[UUID]:
        return set(allowed(self._viewer()).filter(pk__in=conversation_ids).values_list("pk", flat=True))

    async def _end(self, conversation_id: UUID) -> None:
        """The right to read has ended."""
        followed = self._followed.pop(conversation_id, None)
        if followed is not None:
            followed.end()
        await self._send(ended_frame(conversation_id))
        await self._leave(doorbell.conversation_group(conversation_id))

    def _viewer(self) -> User:
        viewer = signed_in_user(self._session_key)
        if viewer is None:
            raise SignedOut
        self._language = viewer.language or self._browser_language
        return viewer

    async def _join(self, group: str) -> None:
        """Without its bell a conversation is still looked at every few seconds, and joined at the next look."""
        await doorbell.quietly(self.channel_layer.group_add(group, self.channel_name), group)

    async def _leave(self, group: str) -> None:
        await doorbell.quietly(self.channel_layer.group_discard(group, self.channel_name), group)

    async def _report_away(self, conversation_id: UUID) -> None:
        await self._send_error(Unavailable(), None, conversation_id)

    async def _refuse(self, error: ChatError, values: dict[str, Any]) -> None:
        await self._send_error(error, id_of(values, "client_id"), id_of(values, "conversation"))

    async def _send_error(self, error: ChatError, client_id: UUID | None, conversation_id: UUID | None) -> None:
        with translation.override(self._language):
            frame = error_frame(error, client_id, conversation_id)
        await self._send(frame)

    async def _send(self, frame: Wire) -> None:
        """Into nowhere once the socket is closed: its disconnect is on the way, and ends all this."""
        if self._is_over:
            return
        try:
            await self.send(text_data=json.dumps(frame, ensure_ascii=False, separators=(",", ":")))
        except (OSError, RuntimeError):
            self._is_over = True

    async def _finish(self, code: int) -> None:
        if not self._is_over:
            self._is_over = True
            self._stop()
            await self.close(code)

    def _stop(self) -> None:
        for followed in self._followed.values():
            followed.end()
        if self._looking is not None and self._looking is not asyncio.current_task():
            self._looking.cancel()


def _call_service(viewer: User, frame: Request) -> services.Accepted:
    match frame:
        case SendMessage():
            return services.send_message(
                viewer,
                client_id=frame.client_id,
                text=frame.text,
                conversation_id=frame.conversation,
                parent_id=frame.parent,
                thinking=frame.thinking,
                endpoint_id=frame.endpoint,
                upload_ids=frame.uploads,
                collection_ids=frame.collections,
                read_all=frame.read_all,
                search=frame.search,
                deep=frame.deep,
                preset_id=frame.preset,
                folder_id=frame.folder,
                is_temporary=frame.temporary,
            )
        case Regenerate():
            return services.regenerate(
                viewer,
                client_id=frame.client_id,
                message_id=frame.message,
                thinking=frame.thinking,
                endpoint_id=frame.endpoint,
                search=frame.search,
                deep=frame.deep,
                preset_id=frame.preset,
            )
        case ContinueAnswer():
            return services.continue_answer(viewer, client_id=frame.client_id, message_id=frame.message)
        case ReplayAnswer():
            return services.replay_answer(viewer, client_id=frame.client_id, answer_id=frame.answer)
        case CancelAnswer():
            return services.cancel_answer(viewer, answer_id=frame.answer)


def _browser_language(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """As for a page: Accept-Language decides where the person has chosen nothing."""
    request = HttpRequest()
    request.META["HTTP_ACCEPT_LANGUAGE"] = dict(headers).get(b"accept-language", b"").decode("latin-1")
    return translation.get_language_from_request(request)
