"""What a mark opens."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from chatapp.conversations.selectors import get_answer
from chatapp.evidence.copies import get_page, pages_of_answer
from chatapp.evidence.forms import PassageForm
from chatapp.evidence.panel import Source, evidence_source, excerpt_source, file_source, page_source, passage_source
from chatapp.evidence.selectors import get_evidence
from chatapp.files.access import get_upload, readable
from chatapp.http import valid, viewer


@never_cache
@require_GET
def show_source(request: HttpRequest, evidence_id: UUID) -> HttpResponse:
    person = viewer(request)
    evidence = get_evidence(person, evidence_id)
    if evidence.page is not None:
        return _shown(request, page_source(evidence.page, evidence))
    is_open = evidence.upload_id is not None and readable(person).filter(pk=evidence.upload_id).exists()
    return _shown(request, evidence_source(evidence) if is_open else excerpt_source(evidence))


@never_cache
@require_GET
def show_file(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    """The file from its beginning, or with `?passage=` one that was found in it, in its surroundings."""
    upload = get_upload(viewer(request), upload_id)
    passage_id = valid(PassageForm(request.GET))["passage"]
    return _shown(request, file_source(upload) if passage_id is None else passage_source(upload, passage_id))


@never_cache
@require_GET
def show_page(request: HttpRequest, page_id: UUID) -> HttpResponse:
    """The frozen copy of a page that an answer has read, from its beginning."""
    return _shown(request, page_source(get_page(viewer(request), page_id)))


@never_cache
@require_GET
def show_pages(request: HttpRequest, answer_id: UUID) -> HttpResponse:
    """All pages that an answer has read."""
    answer = get_answer(viewer(request), answer_id)
    return render(request, "sources/_pages.html", {"pages": pages_of_answer(answer)})


def _shown(request: HttpRequest, source: Source) -> HttpResponse:
    return render(request, "sources/_source.html", {"source": source})
