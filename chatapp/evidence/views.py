"""What a mark opens."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from chatapp.evidence.forms import PassageForm
from chatapp.evidence.panel import evidence_source, excerpt_source, file_source, passage_source
from chatapp.evidence.selectors import get_evidence
from chatapp.files.access import get_upload, readable
from chatapp.http import valid, viewer


@never_cache
@require_GET
def show_source(request: HttpRequest, evidence_id: UUID) -> HttpResponse:
    person = viewer(request)
    evidence = get_evidence(person, evidence_id)
    is_open = evidence.upload_id is not None and readable(person).filter(pk=evidence.upload_id).exists()
    source = evidence_source(evidence) if is_open else excerpt_source(evidence)
    return render(request, "sources/_source.html", {"source": source})


@never_cache
@require_GET
def show_file(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    """The file from its beginning, or with `?passage=` one that was found in it, in its surroundings."""
    upload = get_upload(viewer(request), upload_id)
    passage_id = valid(PassageForm(request.GET))["passage"]
    source = file_source(upload) if passage_id is None else passage_source(upload, passage_id)
    return render(request, "sources/_source.html", {"source": source})
