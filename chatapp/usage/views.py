"""Pages and tables of what was spent, and the quotas."""

import csv
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from chatapp.accounts.models import User
from chatapp.http import valid, viewer
from chatapp.people.pages import keepers_only
from chatapp.people.rights import may_manage
from chatapp.usage.charts import chart_of
from chatapp.usage.forms import QuotaForm, ReportForm, principal_of
from chatapp.usage.models import Quota
from chatapp.usage.quotas import limits_for
from chatapp.usage.reports import Report, own_report, team_report
from chatapp.usage.services import set_quota

COLUMNS = (
    "label",
    "requests",
    "estimated",
    "cache_hit_tokens",
    "cache_miss_tokens",
    "output_tokens",
    "cost_usd",
    "saved_by_cache_usd",
    "saved_by_sparse_usd",
)


@never_cache
@require_GET
def show_usage(request: HttpRequest, *, team: bool) -> HttpResponse:
    person = viewer(request)
    report, fields = _read(request, person, team)
    context = {
        "report": report,
        "chart": chart_of(report.days),
        "by": fields["by"],
        "is_team": team,
        "sees_team": may_manage(person),
        "limits": [] if team else limits_for(person.pk),
    }
    return render(request, "usage/usage.html", context)


@never_cache
@require_GET
def download_usage(request: HttpRequest, *, team: bool) -> HttpResponse:
    report, fields = _read(request, viewer(request), team)
    period = report.period
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="usage-{period.first}-{period.last}.csv"'
    writer = csv.writer(response)
    writer.writerow((fields["by"], *COLUMNS[1:]))
    for line in report.lines:
        sums = line.sums
        numbers = [sums.requests, sums.estimated, sums.cache_hit_tokens, sums.cache_miss_tokens, sums.output_tokens]
        money = [f"{each:f}" for each in (sums.cost, sums.saved_by_cache, sums.saved_by_sparse)]
        writer.writerow([_no_formula(line.label), *numbers, *money])
    return response


@never_cache
@keepers_only
@require_http_methods(["GET", "POST"])
def edit_quotas(request: HttpRequest) -> HttpResponse:
    person = viewer(request)
    form = QuotaForm(request.POST or None)
    if form.is_valid():
        set_quota(person, form.cleaned_data["principal"], form.limits)
        messages.success(request, _("Saved. It holds from the next question on."))
        return redirect("quotas")
    quotas = (
        Quota.objects.filter(key=None)
        .select_related("user", "group")
        .order_by("-everyone", "group__name", "user__name")
    )
    rows = [{"quota": quota, "principal": principal_of(quota)} for quota in quotas]
    return render(request, "usage/quotas.html", {"form": form, "rows": rows}, status=422 if form.errors else 200)


def _read(request: HttpRequest, person: User, team: bool) -> tuple[Report, dict[str, Any]]:
    fields = valid(ReportForm(request.GET))
    report = (team_report if team else own_report)(person, fields["period"], fields["by"])
    return report, fields


def _no_formula(label: str) -> str:
    """A name that a spreadsheet would run is text."""
    return f"'{label}" if label[:1] in ("=", "+", "-", "@", "\t", "\r") else label
