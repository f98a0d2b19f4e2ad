"""Calls that were asked to be stored (`store: true`): listed, read and deleted by the key that has made them."""

import re
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from chatapp.answers.models import Status
from chatapp.programs.errors import ApiError, out_of_range
from chatapp.programs.gate import program
from chatapp.programs.models import Ability, ApiKey, Call
from chatapp.programs.replies import public_id, reply_to
from chatapp.programs.result import Result
from chatapp.threads import in_thread

MOST_LISTED = 100
LISTED = 20  # where nothing is said
_ID = re.compile(r"chatcmpl-([0-9a-f]{32})")


@program("GET", "DELETE", ability=Ability.CHAT)
async def stored(request: HttpRequest, key: ApiKey, name: str) -> HttpResponseBase:
    return JsonResponse(await in_thread(_remove if request.method == "DELETE" else _show, key, name))


def list_stored(request: HttpRequest, key: ApiKey) -> dict[str, Any]:
    """The oldest first, as OpenAI has them."""
    limit = request.GET.get("limit", str(LISTED))
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= MOST_LISTED:
        raise out_of_range("limit", f"limit={limit[:20]!r} must be from 1 to {MOST_LISTED}.")
    found = _finished(key)
    is_descending = request.GET.get("order") == "desc"
    if after := request.GET.get("after"):
        found = found.filter(**{f"created_at__{'lt' if is_descending else 'gt'}": _one(key, after).created_at})
    calls = list(found.order_by("-created_at" if is_descending else "created_at")[: int(limit) + 1])
    shown = calls[: int(limit)]
    ends = {"first_id": _name(shown[0]), "last_id": _name(shown[-1])} if shown else {}
    return {"object": "list", "data": [_whole(call) for call in shown], "has_more": len(calls) > len(shown), **ends}


def _show(key: ApiKey, name: str) -> dict[str, Any]:
    return _whole(_one(key, name))


def _remove(key: ApiKey, name: str) -> dict[str, Any]:
    _one(key, name).delete()
    return {"object": "chat.completion.deleted", "id": name, "deleted": True}


def _one(key: ApiKey, name: str) -> Call:
    found = _ID.fullmatch(name)
    call = _finished(key).filter(pk=UUID(found[1])).first() if found else None
    if call is None:
        raise ApiError(404, "not_found", f"There is no stored completion {name[:60]!r}.")
    return call


def _finished(key: ApiKey) -> QuerySet[Call]:
    return key.calls.filter(is_stored=True, status=Status.FINISHED, kind=Call.Kind.CHAT)


def _name(call: Call) -> str:
    return public_id(call.kind, call.pk)


def _whole(call: Call) -> dict[str, Any]:
    assert call.result is not None, "a finished call has a result"
    return {**reply_to(call).whole(Result.from_json(call.result)), "metadata": {}}
