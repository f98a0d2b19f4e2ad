"""`/v1` of the site: chat and text completions, models, the balance. Files and embeddings are in views of their own."""

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from chatapp.endpoints.models import Endpoint
from chatapp.programs.answering import answer
from chatapp.programs.asked import read_body
from chatapp.programs.balance import balance_of
from chatapp.programs.embedding import model_name
from chatapp.programs.errors import ApiError, no_model
from chatapp.programs.fields import read_object
from chatapp.programs.gate import program
from chatapp.programs.models import Ability, ApiKey, Call
from chatapp.programs.offered import offered
from chatapp.programs.request import read_chat, read_text
from chatapp.programs.stored import list_stored
from chatapp.threads import in_thread


@program("POST", "GET", ability=Ability.CHAT)
async def chat_completions(request: HttpRequest, key: ApiKey) -> HttpResponseBase:
    if request.method == "GET":
        return JsonResponse(await in_thread(list_stored, request, key))
    return await answer(key, Call.Kind.CHAT, *read_chat(read_object(read_body(request))))


@program("POST", ability=Ability.CHAT)
async def completions(request: HttpRequest, key: ApiKey) -> HttpResponseBase:
    return await answer(key, Call.Kind.TEXT, *read_text(read_object(read_body(request))))


@program("GET")
async def list_models(request: HttpRequest, key: ApiKey) -> HttpResponseBase:
    return JsonResponse({"object": "list", "data": await in_thread(_models, key)})


@program("GET")
async def show_model(request: HttpRequest, key: ApiKey, name: str) -> HttpResponseBase:
    found = [each for each in await in_thread(_models, key) if each["id"] == name]
    if not found:
        raise no_model(name)
    return JsonResponse(found[0])


@program("GET")
async def show_balance(request: HttpRequest, key: ApiKey) -> HttpResponseBase:
    return JsonResponse(await in_thread(balance_of, key))


@program("GET", "POST", "PUT", "PATCH", "DELETE")
async def unknown(request: HttpRequest, key: ApiKey, rest: str) -> HttpResponseBase:
    raise ApiError(404, "not_found", f"There is no /v1/{rest[:100]} here; docs/api.md lists the routes.")


def _models(key: ApiKey) -> list[dict[str, Any]]:
    """Those that this key may ask; that of embeddings last."""
    chat = offered(key).items() if Ability.CHAT in key.abilities else ()
    models = [_model(name, endpoint) for name, endpoint in chat]
    if Ability.EMBEDDINGS in key.abilities:
        models.append({"id": model_name(), "object": "model", "created": 0, "owned_by": "embeddings"})
    return models


def _model(name: str, endpoint: Endpoint) -> dict[str, Any]:
    """The first four as OpenAI has them; the others are what clients look for in vain elsewhere."""
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": endpoint.name,
        "context_length": endpoint.context_length,
        "max_output_tokens": endpoint.max_output_tokens,
        "thinking": endpoint.thinking,
        "vision": endpoint.vision,
        "tools": endpoint.tools,
    }
