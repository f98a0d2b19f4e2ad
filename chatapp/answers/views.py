"""The details of an answer, what would be read for a question, and the site's state of health."""

from dataclasses import fields
from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from chatapp.answers.details import read_details
from chatapp.answers.foresight import Asked, foresee
from chatapp.answers.forms import FitForm
from chatapp.answers.health import read_health
from chatapp.http import read_fields, valid, viewer


@never_cache
@require_GET
def show_details(request: HttpRequest, answer_id: UUID) -> HttpResponse:
    details = read_details(viewer(request), answer_id)
    context = {field.name: getattr(details, field.name) for field in fields(details)}
    return render(request, "chat/_details.html", context)


@login_not_required
@never_cache
@require_GET
def show_health(request: HttpRequest) -> HttpResponse:
    """Asked every few seconds by supervisors; the middlewares before it touch no session."""
    health = read_health()
    return JsonResponse(health.to_wire(), status=200 if health.takes_questions else 503)


@never_cache
@require_POST
def show_fit(request: HttpRequest) -> HttpResponse:
    """What would be read of these files if the question were sent now."""
    fields = valid(FitForm(read_fields(request)))
    asked = Asked(
        upload_ids=fields["ids"],
        collection_ids=fields["collections"],
        conversation_id=fields["conversation"],
        endpoint_id=fields["endpoint"],
        folder_id=fields["folder"],
        preset_id=fields["preset"],
        text=fields["text"],
        search=fields["search"],
    )
    return JsonResponse(foresee(viewer(request), asked))
