"""Deep search: the model searches and reads by itself, in rounds, within a budget that is kept in rows.

The searching is done by workers, as any other (chatapp.searches).
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from django.db.models import F, QuerySet, Sum

from chatapp.answers.claims import Claim, held_by
from chatapp.answers.gathering import holding
from chatapp.answers.models import Answer
from chatapp.answers.rounds import CallResult, DeepOffered, Round, WebWanted
from chatapp.answers.web import new_in, told_of
from chatapp.context.counting import Counter
from chatapp.context.deep import (
    ABOUT_PAGE,
    ABOUT_SEARCH,
    NO_MORE_SEARCHES,
    NOT_SEARCHED,
    NOTHING_FOUND,
    NOTHING_NEW,
    PAGE_PARAMETERS,
    READ_PAGE,
    SEARCH_PARAMETERS,
    SEARCH_WEB,
    SKIPPED,
    UNKNOWN_PAGE,
)
from chatapp.context.web import cost, written_pages
from chatapp.endpoints.dialects import Tool
from chatapp.endpoints.models import Endpoint
from chatapp.evidence.selectors import known_texts, pages_by_tools
from chatapp.evidence.services import add_passages
from chatapp.searches import life
from chatapp.searches.life import Asked
from chatapp.searches.models import Search, SearchState, WebPage
from chatapp.searches.setting import web_setting
from search.web.canonical import page_key
from search.web.mentioned import urls_in

SEARCHES, PAGES, SECONDS = 6, 24, 90
PAGES_OF_A_SEARCH = 8
FEWEST_TOKENS = 150  # less is no passage
# Of one result a sixteenth of the context; of all of them half.
RESULT_SHARE, MOST_RESULT_TOKENS, RESULTS_OF_ROOM = 16, 2_500, 8


def deep_offered(endpoint: Endpoint) -> DeepOffered:
    result_tokens = min(MOST_RESULT_TOKENS, endpoint.context_length // RESULT_SHARE)
    return DeepOffered(
        searches=SEARCHES,
        pages=PAGES,
        seconds=SECONDS,
        result_tokens=result_tokens,
        room_tokens=RESULTS_OF_ROOM * result_tokens,
    )


def tools_of_web() -> tuple[Tool, ...]:
    return Tool(SEARCH_WEB, ABOUT_SEARCH, SEARCH_PARAMETERS), Tool(READ_PAGE, ABOUT_PAGE, PAGE_PARAMETERS)


def is_over(answer: Answer, deep: DeepOffered, counter: Counter) -> bool:
    """Whether there is no time left, no page, or no room for what they would say."""
    spent = (
        searches_called_for(answer).filter(ended_at__isnull=False).aggregate(time=Sum(F("ended_at") - F("started_at")))
    )
    seconds = spent["time"].total_seconds() if spent["time"] else 0.0
    if seconds >= deep["seconds"] or _pages_left(answer, deep) <= 0:
        return True
    return _room_left(answer.pk, deep, counter) < FEWEST_TOKENS


def searches_called_for(answer: Answer) -> QuerySet[Search]:
    """By the model, in this attempt or in one that it goes on from."""
    return Search.objects.filter(answer__message=answer.message_id).exclude(call="")


def begin_call(
    claim: Claim, answer: Answer, key: str, wanted: WebWanted, deep: DeepOffered, counter: Counter
) -> UUID | str:
    """The search of this call, begun once whoever comes; words for the model where it can be none.

    Raises FencedOut where the claim holds no more.
    """
    with holding(claim):
        begun = Search.objects.filter(answer=answer, call=key).first()
        if begun is not None:
            return begun.pk
        setting = web_setting()
        if not setting.is_on:
            return NOT_SEARCHED
        if is_over(answer, deep, counter) or _is_out_of_searches(answer, wanted, deep):
            return NO_MORE_SEARCHES
        if wanted.url and not (url := _known_url(answer, wanted.url)):
            return UNKNOWN_PAGE
        question = answer.message.parent.text if answer.message.parent else ""
        asked = Asked(
            question=" ".join([question, *wanted.queries]),
            queries=wanted.queries,
            urls=(url,) if wanted.url else (),
            call=key,
            max_pages=min(PAGES_OF_A_SEARCH, _pages_left(answer, deep)),
        )
        return life.begin(answer.pk, asked, is_proposed=setting.confirms_queries and bool(wanted.queries))


def store_found(claim: Claim, request: Mapping[str, Any], search_id: UUID, counter: Counter) -> list[Round]:
    """Keeps what a call has found, with its evidence, in one step. Returns the answer's rounds, with the result.

    Raises FencedOut where the claim holds no more.
    """
    with holding(claim):
        deep: DeepOffered = request["deep"]
        room = min(deep["result_tokens"], _room_left(claim.answer_id, deep, counter))
        search = Search.objects.get(pk=search_id)
        found = new_in(search, room, counter, known_texts(claim.answer_id))
        result: CallResult = {"search": str(search_id), "numbers": add_passages(claim.answer_id, found)}
        return _with_result(claim, request, result)


def store_refusal(claim: Claim, request: Mapping[str, Any], words: str) -> list[Round]:
    with holding(claim):
        return _with_result(claim, request, {"refusal": words})


def words_of_searches(answer_id: UUID, rounds: Sequence[Round]) -> dict[str, str]:
    """What the searches of these rounds have found, as the model reads it."""
    results = [result for each in rounds for result in each["results"] if "search" in result]
    drafts = dict(pages_by_tools(answer_id))
    searches = {str(search.pk): search for search in Search.objects.filter(pk__in=[r["search"] for r in results])}
    words = {}
    for result in results:
        numbered = [(number, drafts[number]) for number in result["numbers"] if number in drafts]
        told = written_pages(told_of(numbered), with_urls=True)
        words[result["search"]] = told or _words_without(searches.get(result["search"]))
    return words


def _words_without(search: Search | None) -> str:
    if search is None or search.state == SearchState.FAILED:
        return NOT_SEARCHED
    if search.state == SearchState.CANCELLED:
        return SKIPPED
    return NOTHING_NEW if search.found else NOTHING_FOUND


def _room_left(answer_id: UUID, deep: DeepOffered, counter: Counter) -> int:
    told = told_of(pages_by_tools(answer_id))
    return deep["room_tokens"] - sum(cost(passage, counter) for passage in told)


def _pages_left(answer: Answer, deep: DeepOffered) -> int:
    return deep["pages"] - WebPage.objects.filter(search__in=searches_called_for(answer)).count()


def _is_out_of_searches(answer: Answer, wanted: WebWanted, deep: DeepOffered) -> bool:
    return bool(wanted.queries) and searches_called_for(answer).filter(urls=[]).count() >= deep["searches"]


def _known_url(answer: Answer, url: str) -> str:
    """Addresses that a page talks a model into could carry away what stands in the conversation: they are not asked."""
    question = answer.message.parent.text if answer.message.parent else ""
    known = {page_key(each): each for each in urls_in(question)}
    for search in Search.objects.filter(answer__message=answer.message_id).only("progress"):
        known |= {page_key(page["url"]): page["url"] for page in search.progress.get("pages", [])}
    known |= {
        page_key(each): each
        for each in WebPage.objects.filter(search__answer__message=answer.message_id).values_list("url", flat=True)
    }
    return known.get(page_key(url), "")


def _with_result(claim: Claim, request: Mapping[str, Any], result: CallResult) -> list[Round]:
    *before, last = request["rounds"]
    last = cast(Round, {**last, "results": [*last["results"], result]})
    rounds = [*before, last]
    Answer.objects.filter(held_by(claim)).update(request={**request, "rounds": rounds})
    return rounds
