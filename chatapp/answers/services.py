"""Asking for answers and calling them off. One transaction each; the event and the bells follow the commit.

A `client_id` is asked for once: the same one again, even at the same moment, gives the same Accepted.
"""

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError

from chatapp.accounts.grants import Access
from chatapp.accounts.models import User
from chatapp.answers import doorbell
from chatapp.answers.events import AnswerEnded, AnswerQueued, Event, MessageAdded, utf16_length
from chatapp.answers.log import BlockingEventLog
from chatapp.answers.models import ENDED, Answer, Status
from chatapp.conversations import temporary
from chatapp.conversations.models import Conversation, Message
from chatapp.conversations.selectors import get_answer, get_conversation, get_message
from chatapp.endpoints.models import Endpoint
from chatapp.errors import ChatError, Invalid
from chatapp.files.access import collections
from chatapp.files.attaching import attach
from chatapp.files.collecting import ask_collections
from chatapp.finding.indexing import ask_for_index
from chatapp.folders.access import folders
from chatapp.presets.access import preset_for
from chatapp.presets.models import Preset
from chatapp.searches.setting import web_setting
from chatapp.usage.quotas import check_quota

logger = logging.getLogger(__name__)

MAX_TEXT = 1_000_000  # characters; a frame holds no more
MAX_QUESTION_TITLE = 60  # characters, a line of the sidebar


@dataclass(frozen=True, slots=True)
class Accepted:
    """`message_id` is the question that came with it; regenerate, continue and replay bring none."""

    conversation_id: UUID
    message_id: UUID | None
    reply_id: UUID
    answer_id: UUID


def send_message(
    viewer: User,
    *,
    client_id: UUID,
    text: str,
    conversation_id: UUID | None = None,
    parent_id: UUID | None = None,
    thinking: bool = False,
    endpoint_id: UUID | None = None,
    upload_ids: Sequence[UUID] = (),
    collection_ids: Sequence[UUID] = (),
    read_all: bool = False,
    search: bool = False,
    deep: bool = False,
    preset_id: UUID | None = None,
    folder_id: UUID | None = None,
    is_temporary: bool = False,
) -> Accepted:
    """Asks below `parent_id` (an answer, or None for a first question); without a conversation, begins one: in a
    folder, or a temporary one.

    Under an answer that is still running the question waits its turn. `deep` means `search` as well. Raises NotFound,
    Invalid, ChatError.
    """

    def ask() -> Answer:
        check_text(text)
        endpoint = _endpoint(endpoint_id)
        wanted = _wanted(endpoint, thinking, search, deep)
        preset = _preset(viewer, preset_id)
        if conversation_id is None:
            conversation = _begin(viewer, folder_id, is_temporary)
        else:
            conversation = get_conversation(viewer, conversation_id, Access.WRITE)
        parent = _parent(conversation, parent_id)
        question = conversation.messages.create(parent=parent, role=Message.Role.USER, author=viewer, text=text)
        attach(viewer, question, upload_ids)
        ask_collections(viewer, question, [*collection_ids, *_collections_of(viewer, preset)])
        reply = _reply(viewer, client_id, question, endpoint, wanted, secrets.randbits(63), preset=preset)
        return _with_read_all(reply, read_all and bool(upload_ids or collection_ids))

    return _once(viewer, client_id, ask)


def regenerate(
    viewer: User,
    *,
    client_id: UUID,
    message_id: UUID,
    thinking: bool = False,
    endpoint_id: UUID | None = None,
    search: bool = False,
    deep: bool = False,
    preset_id: UUID | None = None,
) -> Accepted:
    """Asks the question of this assistant message again: a sibling of it. Raises NotFound, Invalid, ChatError."""

    def ask() -> Answer:
        endpoint = _endpoint(endpoint_id)
        wanted = _wanted(endpoint, thinking, search, deep)
        question = _question(get_message(viewer, message_id, Access.WRITE))
        asked_before = Answer.objects.filter(message__parent=question).order_by("created_at", "id").first()
        preset = _preset(viewer, preset_id)
        reply = _reply(viewer, client_id, question, endpoint, wanted, secrets.randbits(63), preset=preset)
        return _with_read_all(reply, asked_before is not None and asked_before.read_all)

    return _once(viewer, client_id, ask)


def continue_answer(viewer: User, *, client_id: UUID, message_id: UUID) -> Accepted:
    """A second attempt at a message that was cut, going on from its text. Raises NotFound, ChatError."""

    def ask() -> Answer:
        get_message(viewer, message_id, Access.WRITE)
        message = Message.objects.select_for_update().get(pk=message_id)  # nobody may reply to a text in motion
        cut = message.answers.order_by("created_at", "id").last()
        if cut is None or not _is_cut(cut) or message.children.exists():
            raise ChatError("not_continuable", _("Only an answer that was cut, and is the last one, can be continued."))
        conversation = message.conversation
        _touch(conversation, message)
        return Answer.objects.create(
            message=message,
            asked_by=viewer,
            client_id=client_id,
            endpoint=_still_enabled(cut.endpoint) or _endpoint(None),
            thinking=cut.thinking,
            search=cut.search,
            deep=cut.deep,
            preset=cut.preset,
            read_all=cut.read_all,
            seed=secrets.randbits(63),
            prefix_length=utf16_length(message.text),
            reasoning=cut.reasoning,
            token_ids=cut.token_ids,
        )

    return _once(viewer, client_id, ask)


def replay_answer(viewer: User, *, client_id: UUID, answer_id: UUID) -> Accepted:
    """Asks the same again with the same seed and parts, as a sibling. Raises NotFound, ChatError."""

    def ask() -> Answer:
        original = get_answer(viewer, answer_id, Access.WRITE)
        endpoint = _still_enabled(original.endpoint)
        if original.status not in ENDED or endpoint is None:
            raise ChatError(
                "not_replayable", _("Only an ended answer of a model that is still set up can be replayed.")
            )
        question = _question(original.message)
        wanted = _Wanted(original.thinking, original.search, original.deep)
        reply = _reply(viewer, client_id, question, endpoint, wanted, original.seed, original, original.preset)
        return _with_read_all(reply, original.read_all)

    return _once(viewer, client_id, ask)


def cancel_answer(viewer: User, *, answer_id: UUID) -> Accepted:
    """Calls an answer off: a queued one ends here, a running one is closed by its runner; an ended one stays ended.

    Raises NotFound.
    """
    answer = get_answer(viewer, answer_id, Access.WRITE)
    cancel(answer)
    return _accepted(answer)


def cancel(answer: Answer) -> None:
    """For whoever may: no viewer is asked. Safe to repeat, and at any moment."""
    while answer.status not in ENDED:
        if _end_queued(answer) or _ask_runner(answer):
            return
        answer.refresh_from_db(fields=["status", "fence", "cancel_requested_at"])


def emit_queued(answer: Answer) -> None:
    """Tells the log what a request has added, and wakes the runner. Safe to repeat; raises RedisError."""
    answer = Answer.objects.select_related("message__parent").defer("token_ids").get(pk=answer.pk)
    message = answer.message
    for event in _queued_events(answer):
        BlockingEventLog().append(message.conversation_id, event)
    Answer.objects.filter(pk=answer.pk, queued_event_at=None).update(queued_event_at=Now())
    doorbell.ring_runner("queued", answer.pk)


def emit_ended(answer: Answer) -> None:
    """Tells the log how an answer has ended, after that was committed. Safe to repeat; raises RedisError."""
    answer = Answer.objects.select_related("message").defer("token_ids").get(pk=answer.pk)
    assert answer.status in ENDED, "the terminal commit comes first"
    ended = AnswerEnded(
        answer=answer.pk,
        message=answer.message_id,
        status=answer.status,
        error_code=answer.error_code,
        finish_reason=answer.finish_reason,
        length_text=utf16_length(answer.message.text),
        length_reasoning=utf16_length(answer.reasoning),
    )
    BlockingEventLog().append(answer.message.conversation_id, ended)
    Answer.objects.filter(pk=answer.pk, ended_event_at=None).update(ended_event_at=Now())
    ask_for_index()


def check_text(text: str) -> None:
    if not text.strip():
        raise Invalid("text", _("The message is empty."), code="empty")
    if len(text) > MAX_TEXT:
        raise Invalid(
            "text",
            _("The message has %(length)s characters; at most %(limit)s can be sent at once.")
            % {"length": f"{len(text):,}", "limit": f"{MAX_TEXT:,}"},
            code="too_long",
        )


def title_from_question(text: str) -> str:
    """Its first words, on one line; scripts without spaces are cut between characters."""
    line = " ".join(text[: 4 * MAX_QUESTION_TITLE].split())
    if len(line) <= MAX_QUESTION_TITLE:
        return line
    head = line[: MAX_QUESTION_TITLE - 1]
    words, space, _rest = head.rpartition(" ")
    return (words if space and len(words) > MAX_QUESTION_TITLE // 2 else head).rstrip() + "…"


def _once(viewer: User, client_id: UUID, ask: Callable[[], Answer]) -> Accepted:
    """Does `ask` in one transaction, unless this client_id has been asked for: then what that became.

    Raises ChatError `quota` where the viewer may spend no more.
    """
    asked = _asked(viewer, client_id)
    if asked is not None:
        return _accepted(asked)
    check_quota(viewer)
    try:
        with transaction.atomic():
            answer = ask()
            transaction.on_commit(partial(_announce_queued, viewer, answer))
    except IntegrityError as error:
        asked = _asked(viewer, client_id)
        if asked is not None:
            return _accepted(asked)
        if _broken_constraint(error) == "answer_one_open":
            raise ChatError("already_answering", _("This message is being answered already.")) from error
        raise
    logger.info("answer %s queued message=%s by=%s", answer.pk, answer.message_id, viewer.pk)
    return _accepted(answer)


def _asked(viewer: User, client_id: UUID) -> Answer | None:
    return Answer.objects.select_related("message").filter(asked_by=viewer, client_id=client_id).first()


def _accepted(answer: Answer) -> Accepted:
    question_id = answer.message.parent_id if _brought_question(answer) else None
    return Accepted(answer.message.conversation_id, question_id, answer.message_id, answer.pk)


def _brought_question(answer: Answer) -> bool:
    """The first attempt at the first reply came together with its question; all others came later."""
    earliest = Answer.objects.filter(message__parent=answer.message.parent_id).order_by(
        "message__created_at", "created_at"
    )
    return earliest.values_list("pk", flat=True).first() == answer.pk


def _broken_constraint(error: IntegrityError) -> str:
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "constraint_name", None) or ""


def _begin(viewer: User, folder_id: UUID | None, is_temporary: bool) -> Conversation:
    folder = None
    if folder_id is not None:
        folder = folders(viewer).filter(pk=folder_id).first()
        if folder is None:
            words = _("This folder is not there any more, or not shared with you.")
            raise Invalid("folder", words, code="not_found")
    conversation = temporary.begin(viewer) if is_temporary else Conversation(owner=viewer)
    conversation.folder = folder
    conversation.save()
    return conversation


def _preset(viewer: User, preset_id: UUID | None) -> Preset | None:
    preset = preset_for(preset_id, viewer)
    if preset_id is not None and preset is None:
        words = _("This preset is not there any more, or not shared with you.")
        raise Invalid("preset", words, code="not_found")
    return preset


def _collections_of(viewer: User, preset: Preset | None) -> list[UUID]:
    """Those that the viewer may ask."""
    return list(collections(viewer).filter(presets=preset).values_list("pk", flat=True)) if preset else []


def _parent(conversation: Conversation, parent_id: UUID | None) -> Message | None:
    """A parent elsewhere is refused like one that does not exist."""
    if parent_id is None:
        return None
    parent = conversation.messages.filter(pk=parent_id, role=Message.Role.ASSISTANT).first()
    if parent is None:
        raise Invalid("parent", _("A question can only follow an answer of the same conversation."))
    return parent


def _question(message: Message) -> Message:
    if message.role != Message.Role.ASSISTANT or message.parent is None:
        raise Invalid("message", _("Only an answer can be asked for again."))
    return message.parent


def _reply(
    viewer: User,
    client_id: UUID,
    question: Message,
    endpoint: Endpoint,
    wanted: "_Wanted",
    seed: int,
    replay_of: Answer | None = None,
    preset: Preset | None = None,
) -> Answer:
    """An empty assistant message below the question, and the first attempt at it."""
    conversation = question.conversation
    reply = conversation.messages.create(parent=question, role=Message.Role.ASSISTANT)
    if conversation.title_source == Conversation.TitleSource.NONE and not conversation.is_temporary:
        conversation.title = title_from_question(question.text)
        conversation.title_source = Conversation.TitleSource.QUESTION
        conversation.save(update_fields=["title", "title_source"])
    _touch(conversation, reply)
    return Answer.objects.create(
        message=reply,
        asked_by=viewer,
        client_id=client_id,
        endpoint=endpoint,
        thinking=wanted.thinking,
        search=wanted.search,
        deep=wanted.deep,
        seed=seed,
        replay_of=replay_of,
        preset=preset,
    )


def _with_read_all(reply: Answer, read_all: bool) -> Answer:
    if read_all:
        reply.read_all = True
        reply.save(update_fields=["read_all"])
    return reply


def _touch(conversation: Conversation, leaf: Message) -> None:
    Conversation.objects.filter(pk=conversation.pk).update(active_leaf=leaf, updated_at=Now())


def _endpoint(endpoint_id: UUID | None) -> Endpoint:
    enabled = Endpoint.objects.filter(is_enabled=True)
    if endpoint_id is None:
        endpoint = enabled.filter(is_default=True).first()
        if endpoint is None:
            raise ChatError("no_endpoint", _("No model is set up yet. The owner can connect one in Settings."))
        return endpoint
    endpoint = enabled.filter(pk=endpoint_id).first()
    if endpoint is None:
        raise Invalid("endpoint", _("This model is not available any more."), code="no_endpoint")
    return endpoint


def _still_enabled(endpoint: Endpoint | None) -> Endpoint | None:
    return endpoint if endpoint and endpoint.is_enabled else None


@dataclass(frozen=True, slots=True)
class _Wanted:
    thinking: bool
    search: bool
    deep: bool


def _wanted(endpoint: Endpoint, thinking: bool, search: bool, deep: bool) -> _Wanted:
    """How it is to be answered. Raises ChatError where the web is switched off, Invalid where nobody could do it."""
    if (search or deep) and not web_setting().is_on:
        words = _("Searching the web is switched off here. The owner can switch it on in Settings.")
        raise ChatError("search_off", words, field="search")
    if deep and not endpoint.tools:
        raise Invalid("deep", _("This model does not call tools, and deep search needs them."), code="not_supported")
    return _Wanted(_thinks(endpoint, thinking), search or deep, deep)


def _thinks(endpoint: Endpoint, wanted: bool) -> bool:
    if endpoint.thinking == Endpoint.Thinking.SWITCHED:
        return wanted
    return endpoint.thinking == Endpoint.Thinking.ALWAYS


def _is_cut(answer: Answer) -> bool:
    return answer.status in (Status.FAILED, Status.CANCELLED) or (
        answer.status == Status.FINISHED and answer.finish_reason == "length"
    )


def _queued_events(answer: Answer) -> list[Event]:
    message, question = answer.message, answer.message.parent
    events: list[Event] = []
    if question is not None and _brought_question(answer):
        events.append(MessageAdded(question.pk, question.parent_id, question.role, None))
    if not message.answers.filter(created_at__lt=answer.created_at).exists():
        events.append(MessageAdded(message.pk, message.parent_id, message.role, answer.pk))
    if answer.status == Status.QUEUED:
        events.append(AnswerQueued(answer.pk, message.pk))
    return events


def _end_queued(answer: Answer) -> bool:
    """The fence moves too: a runner that claims at this moment loses, by the row and by the log."""
    with transaction.atomic():
        changed = Answer.objects.filter(pk=answer.pk, status=Status.QUEUED, fence=answer.fence).update(
            status=Status.CANCELLED,
            fence=F("fence") + 1,
            finish_reason="cancelled",
            cancel_requested_at=Now(),
            ended_at=Now(),
        )
        if changed:
            transaction.on_commit(partial(_announce_cancelled, answer, answer.fence + 1))
    return bool(changed)


def _ask_runner(answer: Answer) -> bool:
    with transaction.atomic():
        running = Answer.objects.filter(pk=answer.pk, status=Status.RUNNING)
        running.filter(cancel_requested_at=None).update(cancel_requested_at=Now())
        still = running.exists()
        if still:
            transaction.on_commit(partial(doorbell.ring_runner, "cancel", answer.pk))
    return still


def _announce_queued(viewer: User, answer: Answer) -> None:
    """What cannot be told now is told by the sweep: the question is in the rows."""
    try:
        emit_queued(answer)
    except RedisError as error:
        logger.warning("answer %s queued, not announced: %s", answer.pk, type(error).__name__)
        return
    for person in {viewer.pk, answer.message.conversation.owner_id}:
        doorbell.ring_list_blocking(person)
    ask_for_index()


def _announce_cancelled(answer: Answer, fence: int) -> None:
    try:
        BlockingEventLog().raise_fence(answer.message.conversation_id, answer.pk, fence)
        emit_ended(answer)
    except RedisError as error:
        logger.warning("answer %s cancelled, not announced: %s", answer.pk, type(error).__name__)
    logger.info("answer %s cancelled before it was claimed", answer.pk)
