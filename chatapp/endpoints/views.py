"""The owner's pages about model endpoints. For everybody else they are not there."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from chatapp.endpoints import services, trials
from chatapp.endpoints.forms import EndpointForm
from chatapp.endpoints.models import Endpoint
from chatapp.http import owner_only

POLL_S = 2


@owner_only
@require_GET
def list_endpoints(request: HttpRequest) -> HttpResponse:
    endpoints = Endpoint.objects.order_by("-is_default", "name")
    return render(request, "endpoints/list.html", {"endpoints": endpoints})


@owner_only
@never_cache
@sensitive_post_parameters("api_key")
@require_http_methods(["GET", "POST"])
def edit_endpoint(request: HttpRequest, endpoint_id: UUID | None = None) -> HttpResponse:
    endpoint = get_object_or_404(Endpoint, pk=endpoint_id) if endpoint_id else None
    form = EndpointForm(endpoint, request.POST or None)
    if form.is_valid():
        saved = services.save_endpoint(form.endpoint_fields(), endpoint_id)
        messages.success(request, _("Saved. “Try it” shows what the endpoint can do."))
        return redirect("endpoint", saved.pk)
    context = {"form": form, "endpoint": endpoint}
    return render(request, "endpoints/form.html", context, status=422 if form.errors else 200)


@owner_only
@never_cache
@require_http_methods(["GET", "POST"])
def try_endpoint(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    """POST starts a trial; the page of its report asks again by itself until there is one."""
    endpoint = get_object_or_404(Endpoint, pk=endpoint_id)
    if request.method == "POST":
        trials.begin_trial(endpoint)
        return redirect("try_endpoint", endpoint_id)
    trial = trials.read_trial(endpoint)
    response = render(request, "endpoints/trial.html", {"endpoint": endpoint, "trial": trial})
    if trial.state == "running":
        response.headers["Refresh"] = str(POLL_S)
    return response


@owner_only
@require_POST
def make_default(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    endpoint = get_object_or_404(Endpoint, pk=endpoint_id, is_enabled=True)
    services.set_default(endpoint.pk)
    return redirect("endpoints")


@owner_only
@require_POST
def delete_endpoint(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    endpoint = get_object_or_404(Endpoint, pk=endpoint_id, is_local=False)
    services.delete_endpoint(endpoint.pk)
    messages.success(request, _("“%(name)s” is deleted. Its answers stay.") % {"name": endpoint.name})
    return redirect("endpoints")
