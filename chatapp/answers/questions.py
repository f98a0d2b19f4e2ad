"""From an answer to the question for its endpoint: history in, budget applied."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from chatapp.accounts.models import User
from chatapp.answers.deep import deep_offered, is_over, tools_of_web, words_of_searches
from chatapp.answers.events import Wire
from chatapp.answers.gathering import attempt_before, keep_reading, read_files
from chatapp.answers.history import Said, history_above, numbers_of_pages, turns_of
from chatapp.answers.loading import Loaded, first_units
from chatapp.answers.long_reading import (
    NOTE_TOKENS,
    LongReading,
    Task,
    begin_long_reading,
    plan_of_notes,
    tokens_aside,
)
from chatapp.answers.models import Answer
from chatapp.answers.pictures import PICTURE_TOKENS, pictures_of, seen_among
from chatapp.answers.prepared import CannotAnswer, Prepared
from chatapp.answers.request import PartSent, Request, has_tools
from chatapp.answers.rounds import may_call, most_calls, told_rounds
from chatapp.answers.snapshots import text_sha256
from chatapp.answers.sources import Plan, passages_of, query_of, without_words_on_pictures
from chatapp.answers.tables import (
    Spreadsheet,
    offered,
    room_for_tables,
    spreadsheets_of,
    still_offered,
    tool_of,
    words_of_results,
)
from chatapp.answers.web import WebPlan, freeze_web, frozen_web, plan_of_web, told_of, web_of
from chatapp.context.assembly import ContextFull, Turn, assemble
from chatapp.context.counting import Counter, counter_for
from chatapp.context.messages import ChatMessage
from chatapp.context.sources import RULES, Sources, without_marks
from chatapp.context.web import cost
from chatapp.conversations.models import Message
from chatapp.endpoints.dialects import Question, Target, Tool, ToolChoice
from chatapp.endpoints.models import Endpoint
from chatapp.endpoints.secrets import KeyUnreadable
from chatapp.endpoints.services import target_of
from chatapp.evidence.selectors import frozen_drafts, frozen_pages
from chatapp.folders.given import instructions_for
from chatapp.presets.access import preset_for
from chatapp.presets.models import Preset
from chatapp.searches.setting import web_setting

# No date and no name: the same for every question, so that prompt caches keep it.
SYSTEM = "You are a helpful assistant. Answer in the language of the question, in Markdown; write formulas in LaTeX."
SYSTEM_OF_DEMO = "You are a helpful assistant."  # 135M parameters follow no more than this
ROOM_FOR_TEMPLATE = 40  # tokens that templates add around sources, rules and the question
# For endpoints that cannot continue a text themselves; a person has asked for it by the Continue button.
CONTINUE = "Continue your last answer exactly where it stops. Repeat nothing of it and begin without a preface."


@dataclass(frozen=True, slots=True)
class Aside:
    """A long reading and whom to ask for its notes."""

    reading: LongReading
    target: Target
    endpoint: Endpoint
    system: str

    def question(self, task: Task) -> Question:
        answer = self.reading.answer
        messages = (ChatMessage("system", self.system), ChatMessage("user", task.question))
        return Question(messages, NOTE_TOKENS, seed=answer.seed, user=str(answer.asked_by_id or ""))


def prepare(loaded: Loaded, at_most: int | None = None) -> Prepared:
    """`at_most` tokens of prompt by our count, after an endpoint has found it too long. Raises CannotAnswer."""
    answer, progress = loaded.answer, loaded.progress
    endpoint = endpoint_of(answer)
    counter = counter_for(endpoint.tokenizer_path, endpoint.characters_per_token)
    original: Request = answer.replay_of.request if answer.replay_of else {}
    known = loaded.request or original
    request = known if known.get("parts") and at_most is None else _new_request(loaded, endpoint, counter, at_most)
    if not loaded.request:
        request = {**request, "sent": False}
        request.pop("text_sha256", None)
    if known is original and answer.replay_of is not None:
        request["rounds"] = []  # it computes anew
        if answer.asked_by_id != answer.replay_of.asked_by_id:  # may not read what the system text was made of
            preset = preset_for(answer.preset_id, answer.asked_by)
            conversation_id = answer.message.conversation_id
            request["system"] = system_of(endpoint, conversation_id, answer.asked_by, preset)
        plan = keep_reading(loaded.claim, answer, answer.replay_of)
        if any(not draft.text for draft in plan.drafts):
            request["notes"] = []  # taken of what is gone, or not this asker's to read
        if "tables" in request:
            request["tables"] = still_offered(request["tables"], answer)
    messages, is_changed = _messages(request, loaded, endpoint)
    notices: list[tuple[str, Wire]] = [(code, params) for code, params in request.get("source_notices", [])]
    if request["left_out_turns"]:
        notices.append(("context_trimmed", {"turns": request["left_out_turns"]}))
    if is_changed and answer.replay_of is not None:
        notices.append(("replay_changed", {}))
    if answer.replay_of is None and progress.start_text and (rounds := request.get("rounds")):
        progress.begin_round(rounds[-1]["ends"])  # those of the attempt whose text is continued
    question = Question(
        messages,
        request["max_tokens"],
        seed=answer.seed,
        temperature=request.get("temperature"),
        thinking=answer.thinking,
        user=str(answer.asked_by_id or ""),
        tools=_tools(request),
        tool_choice=_tool_choice(request, answer, counter),
    )
    return Prepared(
        target=replace(target_for(endpoint), model=request["model"]),
        question=question,
        request=request,
        endpoint=endpoint,
        counter=counter,
        asker_id=answer.asked_by_id,
        is_replay_changed=is_changed,
        notices=[n for n in notices if {"code": n[0], "params": n[1]} not in progress.notices],
    )


def tell_rounds(loaded: Loaded, prepared: Prepared) -> Prepared:
    """The question with what has been computed meanwhile, which it grows by."""
    request = prepared.request
    messages, _ = _messages(request, loaded, prepared.endpoint)
    choice = _tool_choice(request, loaded.answer, prepared.counter)
    return replace(prepared, question=replace(prepared.question, messages=messages, tool_choice=choice))


def _tools(request: Request) -> tuple[Tool, ...]:
    tables = (tool_of(request["tables"]),) if request.get("tables", {}).get("files") else ()
    return (*tables, *(tools_of_web() if "deep" in request else ()))


def _tool_choice(request: Request, answer: Answer, counter: Counter) -> ToolChoice:
    """None where nothing that the model could call would still be done."""
    deep = request.get("deep")
    if not may_call(request.get("rounds", []), most_calls(deep)):
        return "none"
    if deep is not None and not request.get("tables", {}).get("files") and is_over(answer, deep, counter):
        return "none"
    return "auto"


def spreadsheets(loaded: Loaded) -> list[Spreadsheet]:
    """What a new question may compute with. Raises CannotAnswer."""
    answer = loaded.answer
    if loaded.request.get("parts") or answer.replay_of is not None or loaded.continues_message:
        return []  # that was decided when it was first asked
    return spreadsheets_of(answer, endpoint_of(answer))


def endpoint_of(answer: Answer) -> Endpoint:
    """Raises CannotAnswer."""
    endpoint = answer.endpoint or Endpoint.objects.filter(is_default=True).first()
    if endpoint is None or not endpoint.is_enabled:
        raise CannotAnswer("no_endpoint")
    return endpoint


def target_for(endpoint: Endpoint) -> Target:
    """Raises CannotAnswer."""
    try:
        return target_of(endpoint)
    except KeyUnreadable as error:
        raise CannotAnswer("endpoint_rejected", str(error)) from error


def _new_request(loaded: Loaded, endpoint: Endpoint, counter: Counter, at_most: int | None) -> Request:
    progress = loaded.progress
    history = history_above(loaded.answer.message)
    asks_to_continue = loaded.continues_message and endpoint.continuation == Endpoint.Continuation.NONE
    preset = preset_for(loaded.answer.preset_id, loaded.answer.asked_by)
    system = system_of(endpoint, loaded.answer.message.conversation_id, loaded.answer.asked_by, preset)
    turns = turns_of(history)
    max_output = output_tokens(endpoint, preset)
    begun = counter.count(progress.text + progress.reasoning) if loaded.continues_message else 0
    budget = endpoint.context_length - max_output - begun
    budget = budget if at_most is None else min(budget, at_most)
    picture_tokens = _picture_tokens(endpoint, history)
    budget -= picture_tokens
    computing = _computing(loaded, endpoint, counter)
    if "tables" in computing:
        budget -= room_for_tables(computing["tables"], counter)
    if "deep" in computing:
        budget -= computing["deep"]["room_tokens"]
    room = room_for_sources(endpoint, system, turns[-1].question, counter, budget)
    web = _plan_of_web(loaded, endpoint, room, counter)
    plan = _read_sources(loaded, endpoint, turns, room - web.tokens, counter)
    if not loaded.continues_message:
        freeze_web(loaded.claim, loaded.answer.pk, web)
    found = told_of(list(enumerate(web.drafts, start=len(plan.drafts) + 1)))
    told = web_of(web.given, found, is_deep="deep" in computing)
    sources = Sources(plan.mode, passages_of(plan.drafts), endpoint.is_local, plan.notes, told)
    try:
        assembled = assemble(sources.in_system(system), sources.in_turns(turns), budget, counter)
    except ContextFull as full:
        detail = f"The question needs about {full.needed_tokens} tokens; {max(0, full.budget_tokens)} fit."
        raise CannotAnswer("context_full", detail) from full
    kept = [message for said in history[assembled.left_out_turns :] for message in said.messages]
    return Request(
        system=system,
        parts=[PartSent(message=str(message.id), sha256=text_sha256(message.text)) for message in kept],
        left_out_turns=assembled.left_out_turns,
        estimated_tokens=assembled.estimated_tokens + picture_tokens,
        model=endpoint.model,
        max_tokens=max_output,
        temperature=preset.temperature if preset else None,
        asks_to_continue=asks_to_continue,
        start_reasoning=progress.start_reasoning,
        start_tokens=len(progress.token_ids) if loaded.claim.fence == 1 else 0,
        sources=plan.mode,
        source_notices=list(plan.notices),
        notes=list(plan.notes),
        web=web.given,
        aside_tokens=tokens_aside(loaded.answer),
        sent=False,
        **computing,
    )


def _picture_tokens(endpoint: Endpoint, history: Sequence[Said]) -> int:
    if not endpoint.vision:
        return 0
    return PICTURE_TOKENS * len(seen_among([message.pk for said in history for message in said.messages]))


def _computing(loaded: Loaded, endpoint: Endpoint, counter: Counter) -> Request:
    """Which tools there are, and what they have given: an attempt that goes on with a text goes on with that."""
    if loaded.continues_message:
        return _computed_before(loaded)
    request = Request(rounds=[])
    if loaded.described:
        request["tables"] = offered(loaded.described, endpoint, counter)
    if loaded.answer.deep and endpoint.tools and web_setting().is_on:
        request["deep"] = deep_offered(endpoint)
    return request if has_tools(request) else Request()


def _computed_before(loaded: Loaded) -> Request:
    earlier = attempt_before(loaded.answer)
    known: Request = earlier.request if earlier is not None else {}
    finished = [each for each in known.get("rounds", []) if len(each["results"]) == len(each["calls"])]
    if not finished:
        return Request()
    request = Request(rounds=finished)
    if "tables" in known:
        request["tables"] = still_offered(known["tables"], loaded.answer)
    if "deep" in known:
        request["deep"] = known["deep"]
    return request


def output_tokens(endpoint: Endpoint, preset: Preset | None = None) -> int:
    """A model of short context keeps half of it for the question."""
    most = min(endpoint.max_output_tokens, endpoint.context_length // 2)
    return min(most, preset.max_tokens) if preset and preset.max_tokens else most


def system_of(endpoint: Endpoint, conversation_id: UUID | None, asker: User | None, preset: Preset | None) -> str:
    """Ours first, which is the same for all; then what the folder says, then the preset, by the rights of the asker."""
    ours = SYSTEM_OF_DEMO if endpoint.is_local else SYSTEM
    folder = instructions_for(conversation_id, asker) if conversation_id else ""
    return "\n\n".join(part for part in (ours, folder, preset.system_prompt if preset else "") if part)


def room_for_sources(
    endpoint: Endpoint, system: str, question: str, counter: Counter, budget: int | None = None
) -> int:
    """Tokens that files may take beside the question alone: earlier turns give way to them."""
    if budget is None:
        budget = endpoint.context_length - output_tokens(endpoint)
    fixed = sum(counter.count(text) for text in (system, RULES, question))
    return max(0, budget - fixed - ROOM_FOR_TEMPLATE)


def _plan_of_web(loaded: Loaded, endpoint: Endpoint, room: int, counter: Counter) -> WebPlan:
    """An attempt that goes on with a text goes on with the pages that were read for it."""
    if loaded.continues_message and (earlier := attempt_before(loaded.answer)) is not None:
        known: Request = earlier.request
        drafts = [draft for _, draft in frozen_pages(earlier.pk)]
        found = told_of(list(enumerate(drafts, start=1)))
        tokens = sum(cost(passage, counter) for passage in found)
        return WebPlan(known.get("web"), tuple(drafts), tokens)
    return plan_of_web(loaded.answer, endpoint, room, counter)


def _read_sources(loaded: Loaded, endpoint: Endpoint, turns: Sequence[Turn], room: int, counter: Counter) -> Plan:
    """An attempt that goes on with a text goes on with what was read for it."""
    if loaded.continues_message and (earlier := attempt_before(loaded.answer)) is not None:
        return keep_reading(loaded.claim, loaded.answer, earlier)
    *before, question = [turn.question for turn in turns]
    query = query_of(question, before)
    if loaded.answer.read_all:
        reading = LongReading(loaded.answer, question, room, counter, endpoint.is_local)
        if plan := plan_of_notes(reading):
            return plan
    plan = read_files(loaded.claim, loaded.answer, query, room, counter, is_demo=endpoint.is_local)
    return without_words_on_pictures(plan) if endpoint.vision else plan


def long_reading(loaded: Loaded) -> Aside | None:
    """What is asked aside before the question itself: notes of sources that are too long. Raises CannotAnswer."""
    answer = loaded.answer
    if not answer.read_all or loaded.continues_message or answer.replay_of is not None or loaded.request.get("parts"):
        return None
    endpoint = endpoint_of(answer)
    counter = counter_for(endpoint.tokenizer_path, endpoint.characters_per_token)
    question = answer.message.parent.text if answer.message.parent else ""
    preset = preset_for(answer.preset_id, answer.asked_by)
    system = system_of(endpoint, answer.message.conversation_id, answer.asked_by, preset)
    room = room_for_sources(endpoint, system, question, counter)
    room -= plan_of_web(answer, endpoint, room, counter).tokens
    reading = LongReading(answer, question, room, counter, endpoint.is_local)
    if not begin_long_reading(loaded.claim, reading):
        return None
    return Aside(reading, target_for(endpoint), endpoint, system)


def _messages(request: Request, loaded: Loaded, endpoint: Endpoint) -> tuple[tuple[ChatMessage, ...], bool]:
    """The messages of the request as their rows are now, and whether one is not what it was."""
    rows = Message.objects.in_bulk([UUID(part["message"]) for part in request["parts"]])
    frozen = frozen_drafts(loaded.answer.pk) if request.get("sources") else []
    web = web_of(request.get("web"), frozen_web(loaded.answer.pk), is_deep="deep" in request)
    notes = tuple(request.get("notes", ()))
    sources = Sources(request.get("sources", ""), passages_of(frozen), endpoint.is_local, notes, web)
    system = sources.in_system(request["system"])
    messages = [ChatMessage("system", system)] if system else []
    found: Sequence[Message] = [rows[id] for p in request["parts"] if (id := UUID(p["message"])) in rows]
    pictures = pictures_of([row.pk for row in found]) if endpoint.vision else {}
    of_pages = numbers_of_pages(rows.keys())
    last_question = max((i for i, row in enumerate(found) if row.role == Message.Role.USER), default=-1)
    for index, row in enumerate(found):
        if row.role == Message.Role.USER:
            text = sources.in_question(row.text) if index == last_question else row.text
            messages.append(ChatMessage("user", text, images=pictures.get(row.pk, ())))
        else:
            told = without_marks(row.text, of_pages.get(row.pk, ()))
            messages.append(ChatMessage("assistant", sources.in_reply(told)))
    if rounds := request.get("rounds"):
        counter = _counter_of(loaded.answer)
        finished = [each for each in rounds if len(each["results"]) == len(each["calls"])]
        tables = request.get("tables")
        results = words_of_results(loaded.answer.pk, tables, counter) if tables else {}
        messages += told_rounds(finished, results, words_of_searches(loaded.answer.pk, finished))
    begun = first_units(loaded.progress.text, loaded.progress.start_text)
    if request["asks_to_continue"] and begun:
        messages += [ChatMessage("assistant", begun), ChatMessage("user", CONTINUE)]
    hashes = {str(row.id): text_sha256(row.text) for row in found}
    is_changed = any(hashes.get(part["message"]) != part["sha256"] for part in request["parts"])
    return tuple(messages), is_changed or any(not draft.text for draft in frozen)


def _counter_of(answer: Answer) -> Counter:
    endpoint = endpoint_of(answer)
    return counter_for(endpoint.tokenizer_path, endpoint.characters_per_token)
