"""The searches of a copied answer: the copy stands by itself, with pages of its own."""

import uuid
from uuid import UUID

from chatapp.answers.models import Answer
from chatapp.searches.models import OPEN, Search, WebPage


def copy_searches(original: Answer, copy: Answer) -> dict[UUID, UUID]:
    """Under the ids of the old pages those of the new ones."""
    new_ids: dict[UUID, UUID] = {}
    for search in Search.objects.filter(answer=original).exclude(state__in=OPEN):
        pages = list(search.pages.all())
        search.pk, search.answer = uuid.uuid4(), copy
        search.save(force_insert=True)
        for page in pages:
            old_id, page.pk, page.search = page.pk, uuid.uuid4(), search
            new_ids[old_id] = page.pk
        WebPage.objects.bulk_create(pages)
    return new_ids
