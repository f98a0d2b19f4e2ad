"""The tokens of an answer: what is left to ask for, and what it has cost. Pure functions."""

from dataclasses import replace

from chatapp.answers.models import Status
from chatapp.answers.prepared import Prepared
from chatapp.answers.progress import Progress
from chatapp.answers.request import Request
from chatapp.answers.snapshots import Ending
from chatapp.endpoints.deltas import Completed
from chatapp.endpoints.dialects import Prefix, Question


def question_now(prepared: Prepared, progress: Progress) -> Question | None:
    """The question with what has been shown as its prefix; None where the answer has used up its length."""
    question, request = prepared.question, prepared.request
    has_begun = progress.has_begun and not request["asks_to_continue"]
    if not prepared.can_continue or not (progress.has_shown or has_begun):
        return question
    left = question.max_tokens - tokens_shown(prepared, progress)
    if left <= 0:
        return None
    ids = tuple(progress.token_ids[progress.round_tokens :])
    prefix = Prefix(progress.round_said("text"), progress.round_said("reasoning"), ids)
    if prepared.target.takes_token_ids:
        # Our own worker counts the prefix as output: the earlier attempt's tokens come on top.
        begun = _tokens_before(prepared, progress)
        return replace(question, prefix=prefix, max_tokens=question.max_tokens + begun)
    return replace(question, prefix=prefix, max_tokens=left)


def _tokens_before(prepared: Prepared, progress: Progress) -> int:
    if prepared.request["start_tokens"]:
        return max(0, prepared.request["start_tokens"] - progress.round_tokens)
    said = progress.round_said("text")
    earlier = len(said) - len(progress.attempt_text)
    return prepared.counter.count(said[: max(0, earlier)])


def tokens_shown(prepared: Prepared, progress: Progress) -> int:
    """Of this attempt since its last round: counted by its ids where there are any."""
    ids = len(progress.token_ids) - max(prepared.request["start_tokens"], progress.round_tokens)
    return ids if ids > 0 else prepared.counter.count(progress.round_shown)


def with_aside(ending: Ending, request: Request) -> Ending:
    """With what was asked before the last question, for notes or in earlier rounds: it was read and written too."""
    prompt, completion = request.get("aside_tokens", (0, 0))
    if ending.prompt_tokens is None or ending.completion_tokens is None:
        return ending
    return replace(
        ending,
        prompt_tokens=ending.prompt_tokens + prompt,
        completion_tokens=ending.completion_tokens + completion,
    )


def finished(completed: Completed, prepared: Prepared, progress: Progress, is_whole: bool) -> Ending:
    """A finished answer; its tokens are the endpoint's where it reported them for the whole of it."""
    usage, num_shown = completed.usage, tokens_shown(prepared, progress)
    ending = Ending(
        Status.FINISHED,
        finish_reason=completed.finish_reason,
        model_name=completed.model,
        prompt_tokens=prepared.request["estimated_tokens"],
        completion_tokens=num_shown,
        usage_estimated=True,
    )
    if usage is None:
        return with_aside(ending, prepared.request)
    if is_whole:
        num_prompt, num_completion = usage.prompt_tokens, usage.completion_tokens
    else:
        # What was shown before the last request went along in it as prompt, and is not to be counted twice.
        num_prompt, num_completion = usage.prompt_tokens - max(0, num_shown - usage.completion_tokens), num_shown
    ending = replace(
        ending,
        prompt_tokens=max(0, num_prompt),
        cached_tokens=usage.cached_tokens,
        completion_tokens=num_completion,
        usage_estimated=not (is_whole or progress.token_ids),
    )
    return with_aside(ending, prepared.request)
