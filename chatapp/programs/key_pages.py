"""The pages of API keys: one's own, and those of the team for who looks after it."""

from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from chatapp.errors import ChatError, NotFound
from chatapp.http import viewer
from chatapp.people.pages import done, keepers_only
from chatapp.people.rights import may_touch
from chatapp.programs import keys as service
from chatapp.programs.forms import KeyForm
from chatapp.programs.models import ApiKey
from chatapp.usage.forms import LimitsForm
from chatapp.usage.models import Quota
from chatapp.usage.quotas import limits_of_key

MOST_SHOWN = 500


@never_cache
@require_http_methods(["GET", "POST"])
def keys(request: HttpRequest) -> HttpResponse:
    """The answer to POST is the only page that ever shows the key."""
    person = viewer(request)
    if not service.may_have_keys(person):
        raise Http404
    form = KeyForm(request.POST or None)
    if form.is_valid():
        try:
            made = service.make(person, form.cleaned_data["name"], form.scope)
            return render(request, "programs/made.html", {"made": made, "base_url": _base_url(request)})
        except NotFound:
            raise
        except ChatError as refused:
            form.add_error(None, refused.message)
    context = {"form": form, "keys": _shown(person.api_keys.all()), "base_url": _base_url(request)}
    return render(request, "programs/keys.html", context, status=422 if form.errors else 200)


@never_cache
@keepers_only
@require_GET
def team_keys(request: HttpRequest) -> HttpResponse:
    person = viewer(request)
    found = _shown(ApiKey.objects.filter(revoked_at=None))[:MOST_SHOWN]
    rows = [{"key": key, "may_end": key.owner_id == person.pk or may_touch(person, key.owner)} for key in found]
    return render(request, "programs/team_keys.html", {"rows": rows})


@never_cache
@require_http_methods(["GET", "POST"])
def key(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """One key: how much of its limits is used, and its limits to be changed."""
    person = viewer(request)
    found = service.get_held(person, key_id)
    form = LimitsForm(request.POST or None, initial=_limits(found))
    if request.method == "POST" and form.is_valid():
        service.set_limits(person, key_id, form.limits)
        messages.success(request, _("Saved. It holds from the next request on."))
        return redirect("key", key_id)
    context = {"key": found, "form": form, "limits": limits_of_key(found.pk), "is_own": found.owner_id == person.pk}
    return render(request, "programs/key.html", context, status=422 if form.errors else 200)


@require_POST
def end_key(request: HttpRequest, key_id: UUID) -> HttpResponse:
    person = viewer(request)
    owner_id = service.get_held(person, key_id).owner_id

    def act() -> str:
        name = service.end(person, key_id).name
        return _("The key “%(name)s” opens nothing any more.") % {"name": name}

    return done(request, act, "keys" if owner_id == person.pk else "team_keys")


def _shown(found: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
    return found.select_related("owner").prefetch_related("endpoints")


def _limits(key: ApiKey) -> dict[str, object]:
    quota = Quota.objects.filter(key=key).values(*LimitsForm.base_fields).first()
    return dict(quota or {})


def _base_url(request: HttpRequest) -> str:
    return request.build_absolute_uri("/v1")
