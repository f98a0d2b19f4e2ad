"""What a mark opens."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from chatapp.evidence.panel import evidence_source, file_source
from chatapp.evidence.selectors import get_evidence
from chatapp.files.access import get_upload
from chatapp.http import viewer


@never_cache
@require_GET
def show_source(request: HttpRequest, evidence_id: UUID) -> HttpResponse:
    evidence = get_evidence(viewer(request), evidence_id)
    return render(request, "sources/_source.html", {"source": evidence_source(evidence)})


@never_cache
@require_GET
def show_file(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    upload = get_upload(viewer(request), upload_id)
    return render(request, "sources/_source.html", {"source": file_source(upload)})
