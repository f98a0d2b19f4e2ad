"""The owner's page about the web: what may leave the house, which engine is asked, and trying it."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from chatapp.http import owner_only, valid
from chatapp.searches import trials
from chatapp.searches.choosing import choose
from chatapp.searches.models import WebSetting
from chatapp.searches.owner_forms import EngineForm, TrialForm
from chatapp.searches.setting import chosen_engine, web_setting
from chatapp.searches.words import ENGINES

POLL_S = 1


@owner_only
@never_cache
@sensitive_post_parameters("key")
@require_http_methods(["GET", "POST"])
def edit_web(request: HttpRequest) -> HttpResponse:
    setting = WebSetting.objects.filter(pk=1).first() or WebSetting()
    form = EngineForm(setting, request.POST or None)
    if form.is_valid():
        choose(form.choice())
        messages.success(request, _("Saved. “Try it” shows what the engine finds."))
        return redirect("web_setting")
    context = {"form": form, "trial_form": TrialForm(), "may_search": settings.CONFIG.web_search}
    context |= {"can_try": web_setting().is_on, "trial": trials.read_trial(setting)}
    return render(request, "searches/setting.html", context, status=422 if form.errors else 200)


@owner_only
@never_cache
@require_http_methods(["GET", "POST"])
def try_engine(request: HttpRequest) -> HttpResponse:
    """POST starts a trial; the page of its report asks again by itself until there is one."""
    setting = web_setting()
    if request.method == "POST":
        if setting.is_on:
            trials.begin_trial(valid(TrialForm(request.POST))["query"])
        return redirect("try_engine")
    trial = trials.read_trial(setting)
    form = TrialForm(initial={"query": trial.query} if trial.query else None)
    context = {"trial": trial, "form": form, "engine": ENGINES[chosen_engine(setting)], "can_try": setting.is_on}
    response = render(request, "searches/trial.html", context)
    if trial.state == "running":
        response.headers["Refresh"] = str(POLL_S)
    return response
