"""The life of an import: asked for, claimed by one worker at a time, counted, done or failed."""

import logging
from datetime import timedelta
from uuid import UUID

from celery import current_app
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError

from chatapp.accounts.models import User
from chatapp.answers import doorbell
from chatapp.errors import ChatError, Invalid
from chatapp.files.access import readable
from chatapp.finding.indexing import ask_for_index
from chatapp.imports.chats import BadChat
from chatapp.imports.formats import read_chat
from chatapp.imports.items import BadFile, Item, read_items
from chatapp.imports.models import Import
from chatapp.imports.storing import store
from uploads import services
from uploads.models import Upload
from uploads.selectors import open_bytes

logger = logging.getLogger(__name__)

RUN = "chatapp.imports.tasks.run_import"
LEASE = timedelta(minutes=2)  # renewed with every chat
MOST_TRIES = 3
MOST_ERRORS = 100  # that are named; all are counted
MOST_OPEN = 5  # of one person
State = Import.State


class Lost(Exception):
    """The claim holds no more."""


def imports(viewer: User) -> QuerySet[Import]:
    return Import.objects.filter(owner=viewer) if viewer.is_active else Import.objects.none()


def ask(viewer: User, upload_id: UUID) -> Import:
    """Of a whole file of the viewer's own. Raises Invalid, ChatError."""
    upload = readable(viewer).filter(pk=upload_id, owner=viewer, state=Upload.State.WHOLE).first()
    if upload is None:
        words = _("A file is not there any more, or not shared with you.")
        raise Invalid("upload", words, code="not_found")
    if imports(viewer).filter(state__in=(State.QUEUED, State.RUNNING)).count() >= MOST_OPEN:
        raise ChatError("too_many", _("At most %(limit)s imports at once.") % {"limit": MOST_OPEN})
    with transaction.atomic():
        made = Import.objects.create(owner=viewer, upload=upload, name=upload.name)
        transaction.on_commit(lambda: _send(made.pk))
    logger.info("import %s asked for by=%s bytes=%d", made.pk, viewer.pk, upload.size_bytes)
    return made


def run(import_id: UUID) -> None:
    """Safe to run twice: a chat that is there already is not made again."""
    free = Q(state=State.QUEUED) | Q(state=State.RUNNING, lease_expires_at__lt=Now())
    counted = {"read": 0, "skipped": 0, "failed": 0, "errors": []}
    claimed = Import.objects.filter(free, pk=import_id, tries__lt=MOST_TRIES).update(
        state=State.RUNNING, tries=F("tries") + 1, lease_expires_at=Now() + LEASE, **counted
    )
    if not claimed:
        return
    running = Import.objects.select_related("owner", "upload").get(pk=import_id)
    try:
        code = _read_all(running)
    except Lost:
        logger.info("import %s taken over", import_id)
        return
    _end(running, code)


def sweep() -> None:
    """Every minute: sends again what the broker or a crash has lost, and ends what nobody could read."""
    lost = Q(state=State.RUNNING, lease_expires_at__lt=Now()) | Q(
        state=State.QUEUED, created_at__lt=Now() - timedelta(minutes=1)
    )
    for each in Import.objects.filter(lost).select_related("upload", "owner"):
        if each.tries >= MOST_TRIES:
            _end(each, "crashed")
        else:
            _send(each.pk)


def _read_all(running: Import) -> str:
    """The code of what ended it early, or nothing. Raises Lost."""
    if running.upload is None:
        return "gone"
    try:
        with open_bytes(running.upload) as file:
            for item in read_items(file):
                _read(running, item)
    except FileNotFoundError:
        return "gone"
    except BadFile as bad:
        return bad.code
    return "" if running.read else "not_json"


def _read(running: Import, item: Item) -> None:
    """Counted, whatever becomes of it; an error names the item and goes on with the next."""
    running.read += 1
    title, code = str(item.value.get("title") or "")[:100].replace("\0", ""), item.code
    if not code:
        try:
            running.source, chat = read_chat(item.value)
            running.skipped += not store(running, chat)
        except BadChat as bad:
            code = bad.code
    if code:
        running.failed += 1
        if len(running.errors) < MOST_ERRORS:
            title = title.encode("utf-8", "replace").decode()
            running.errors.append({"item": item.number, "title": title, "code": code})
    names = ("read", "skipped", "failed", "errors", "source")
    values = {name: getattr(running, name) for name in names}
    if not _held(running).update(**values, lease_expires_at=Now() + LEASE):
        raise Lost


def _end(running: Import, code: str) -> None:
    """What was read before a fault of the file stays."""
    state = State.FAILED if code else State.DONE
    if not _held(running).update(state=state, error_code=code):
        return
    logger.info("import %s %s read=%d failed=%d %s", running.pk, state, running.read, running.failed, code)
    if running.upload is not None:
        services.remove(running.upload)
    ask_for_index()
    doorbell.ring_list_blocking(running.owner_id)


def _held(running: Import) -> QuerySet[Import]:
    open_states = (State.RUNNING, State.QUEUED)
    return Import.objects.filter(pk=running.pk, state__in=open_states, tries=running.tries)


def _send(import_id: UUID) -> None:
    try:
        current_app.send_task(RUN, (str(import_id),), retry=False)
    except OperationalError as error:
        logger.warning("import %s not sent: %s", import_id, type(error).__name__)  # the sweep sends it again
