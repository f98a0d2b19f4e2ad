"""The pages of presets: one's own and those that are shared, and one of them."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from chatapp.accounts.grants import Access
from chatapp.accounts.principals import rows_of
from chatapp.accounts.share_forms import GrantForm
from chatapp.conversations.selectors import sidebar
from chatapp.http import read_fields, valid, viewer, wants_page
from chatapp.presets import services
from chatapp.presets.access import get_own_preset, get_preset, presets
from chatapp.presets.forms import PresetForm, PresetShareForm
from chatapp.presets.models import Preset


@never_cache
@require_GET
def list_presets(request: HttpRequest) -> HttpResponse:
    person = viewer(request)
    found = presets(person).select_related("owner", "endpoint")
    return render(request, "presets/list.html", {"presets": found, "sidebar": sidebar(person), "conversation": None})


@never_cache
@require_http_methods(["GET", "POST"])
def new_preset(request: HttpRequest) -> HttpResponse:
    person = viewer(request)
    form = PresetForm(person, request.POST if request.method == "POST" else None)
    if form.is_valid():
        return redirect("preset", services.create(person, form.preset_fields()).pk)
    return _page(request, form, None)


@never_cache
@require_http_methods(["GET", "POST"])
def show_preset(request: HttpRequest, preset_id: UUID) -> HttpResponse:
    """Whoever may read it sees all of it; POST changes it, for those who may write."""
    person = viewer(request)
    preset = get_preset(person, preset_id, Access.WRITE if request.method == "POST" else Access.READ)
    form = PresetForm(person, request.POST if request.method == "POST" else None, preset)
    if form.is_valid():
        services.change(person, preset_id, form.preset_fields())
        return redirect("preset", preset_id)
    return _page(request, form, preset)


@require_POST
def share_preset(request: HttpRequest, preset_id: UUID) -> HttpResponse:
    person = viewer(request)
    get_own_preset(person, preset_id)  # before the form says anything of people and groups
    form = PresetShareForm(person, read_fields(request))
    access = Access(valid(form)["access"])
    services.share(person, preset_id, form.chosen(), access)
    return _back(request, preset_id)


@require_POST
def end_preset_share(request: HttpRequest, preset_id: UUID) -> HttpResponse:
    person = viewer(request)
    get_own_preset(person, preset_id)
    services.end_share(person, preset_id, valid(GrantForm(read_fields(request)))["grant"])
    return _back(request, preset_id)


@require_POST
def delete_preset(request: HttpRequest, preset_id: UUID) -> HttpResponse:
    services.delete(viewer(request), preset_id)
    return redirect("presets") if wants_page(request) else JsonResponse({"ok": True})


def _page(request: HttpRequest, form: PresetForm, preset: Preset | None) -> HttpResponse:
    person = viewer(request)
    is_owner = preset is not None and preset.owner_id == person.pk
    may_write = preset is None or presets(person, Access.WRITE).filter(pk=preset.pk).exists()
    if not may_write:
        for field in form.fields.values():
            field.disabled = True
    context = {
        "sidebar": sidebar(person),
        "conversation": None,
        "preset": preset,
        "form": form,
        "is_owner": is_owner,
        "may_write": may_write,
        "grants": rows_of(preset.grants.all()) if preset is not None and is_owner else [],
        "share": PresetShareForm(person) if is_owner else None,
    }
    return render(request, "presets/preset.html", context, status=422 if form.errors else 200)


def _back(request: HttpRequest, preset_id: UUID) -> HttpResponse:
    return redirect("preset", preset_id) if wants_page(request) else JsonResponse({"ok": True})
