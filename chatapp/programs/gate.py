"""The door of `/v1`: a key in the Authorization header. Cookies count for nothing, so that CSRF has no hold.

Every refusal leaves in OpenAI's form. No CORS header is ever sent: pages of other sites cannot read an answer.
"""

import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeAlias

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from redis.exceptions import RedisError

from chatapp.bodies import MAX_BODY
from chatapp.errors import ChatError
from chatapp.programs import keys
from chatapp.programs.asked import need
from chatapp.programs.errors import ApiError
from chatapp.programs.models import Ability, ApiKey
from chatapp.security import Scope
from chatapp.threads import in_thread

logger = logging.getLogger(__name__)

P = ParamSpec("P")
ApiView: TypeAlias = Callable[Concatenate[HttpRequest, ApiKey, P], Coroutine[Any, Any, HttpResponseBase]]
View: TypeAlias = Callable[Concatenate[HttpRequest, P], Coroutine[Any, Any, HttpResponseBase]]

FORM_BYTES = 64 * 1024  # around a file, in multipart/form-data
NO_KEY = "Give an API key of this site: Authorization: Bearer sk-sonde-… (make one under Account, API keys)."
WRONG_KEY = "This API key does not work: it is unknown, has expired or was ended, or its owner is suspended."


def program(*methods: str, ability: Ability | None = None) -> Callable[[ApiView[P]], View[P]]:
    """For requests with a key that works, and may do this."""

    def gated(view: ApiView[P]) -> View[P]:
        @csrf_exempt
        @login_not_required
        @wraps(view)
        async def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            try:
                if request.method not in methods:
                    raise ApiError(405, "method_not_allowed", f"This route takes {' and '.join(methods)}.")
                key = await in_thread(authenticate, request.headers.get("Authorization", ""), ability)
                response = await view(request, key, *args, **kwargs)
            except ApiError as error:
                response = refusal(error)
            except ChatError as error:
                response = refusal(ApiError(error.status, error.code, error.message, param=error.field))
            except (OperationalError, InterfaceError, RedisError) as error:
                logger.warning("api away: %s", type(error).__name__)
                response = refusal(ApiError(503, "unavailable", "A service is away for a moment.", retry_after_s=2))
            response.headers["Cache-Control"] = "no-store"
            return response

        return guarded

    return gated


def authenticate(header: str, ability: Ability | None) -> ApiKey:
    """Raises ApiError: 401, 403."""
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise ApiError(401, "invalid_api_key", NO_KEY)
    key = keys.find(secret.strip())
    if key is None:
        raise ApiError(401, "invalid_api_key", WRONG_KEY)
    if ability is not None:
        need(key, ability)
    return key


async def most_bytes(scope: Scope) -> int:
    """How large the body of this request may be: whoever has a key for files may send one of the largest size."""
    if (scope["method"], scope["path"]) != ("POST", "/v1/files"):
        return MAX_BODY
    header = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    try:
        await in_thread(authenticate, header, Ability.FILES)
    except (ApiError, OperationalError, InterfaceError):
        return MAX_BODY  # the view says what is wrong with it
    return settings.UPLOADS.max_bytes + FORM_BYTES


def refusal(error: ApiError) -> JsonResponse:
    return JsonResponse(error.to_wire(), status=error.status, headers=error.headers)
