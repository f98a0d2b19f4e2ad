"""Delete means delete: of collections and their files, and what stays because something else has it."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.utils import timezone

from chatapp.accounts.models import User
from chatapp.answers.services import send_message
from chatapp.evidence.models import Evidence, Excerpt
from chatapp.evidence.services import Draft, freeze
from chatapp.files import collecting
from chatapp.files.models import Attachment, CollectionFile, MessageCollection
from chatapp.files.tasks import remove_unsent_files
from search.index import put
from search.models import Passage, Vector
from tests.file_fixtures import collect, files_below, give, make_collection
from uploads import services
from uploads.models import Blob, Block, Reading, Upload
from uploads.sweep import remove_orphans

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("file_store", "endpoint")]


def index(upload: Upload, text: str = "High tide is at noon.") -> None:
    """As its reading and the encoder would leave it."""
    assert upload.reading is not None
    place = {"kind": "lines", "first": 1, "last": 1}
    Block.objects.create(reading=upload.reading, index=0, kind="text", text=text, place=place)
    put(upload.reading.pk, Block.objects.filter(reading=upload.reading))
    for passage in Passage.objects.filter(source_id=upload.reading.pk):
        Vector.objects.create(passage=passage, source_id=passage.source_id, model="tests", value="[1,0,0]")


def test_deleted_collection_leaves_nothing_and_its_files_may_come_again(member: User, file_store: Path) -> None:
    collection = make_collection(member, "Harbour")
    whole, begun = give(member), collecting.begin_in(member, collection.pk, "slow.txt", 9)
    services.append(begun, 0, [b"half"])
    collect(collection, whole)
    index(whole)
    accepted = send_message(member, client_id=uuid4(), text="When?", collection_ids=[collection.pk])
    draft = Draft(whole.pk, whole.reading.pk, whole.blob_id, "tides.txt", (), {"kind": "lines"}, "At noon.", 1.0)
    freeze(accepted.answer_id, [draft])
    assert len(files_below(file_store)) == 2
    collecting.delete(member, collection.pk)
    for model in (Upload, Blob, Reading, Block, Passage, Vector, Excerpt, CollectionFile):
        assert not model.objects.exists(), model
    assert files_below(file_store) == []
    assert Evidence.objects.get().excerpt is None
    asked = MessageCollection.objects.get()
    assert (asked.collection, asked.name) == (None, "Harbour")
    again = give(member)
    index(again)
    assert again.reading.state == "queued" and Passage.objects.exists()


def test_file_that_a_message_or_another_collection_has_stays(member: User) -> None:
    first, second = make_collection(member, "First"), make_collection(member, "Second")
    shared, sent, alone = give(member, b"a", "a.txt"), give(member, b"b", "b.txt"), give(member, b"c", "c.txt")
    collect(first, shared, sent, alone)
    collect(second, shared)
    send_message(member, client_id=uuid4(), text="What?", upload_ids=[sent.pk])
    collecting.take_out(member, first.pk, sent.pk)
    assert Attachment.objects.get().upload == sent
    collecting.delete(member, first.pk)
    assert set(Upload.objects.all()) == {shared, sent}
    collecting.take_out(member, second.pk, shared.pk)
    assert set(Upload.objects.all()) == {sent}


def test_deleted_file_leaves_its_collections(member: User) -> None:
    collection, upload = make_collection(member, "Harbour"), give(member)
    collect(collection, upload)
    services.remove(upload)
    assert not collection.files.exists()


def test_nightly_checks_remove_what_lost_its_collection(member: User, outsider: User, file_store: Path) -> None:
    """The owner's account goes, and the collection with it: what others had put there has no place any more."""
    collection, upload = make_collection(outsider, "Harbour"), give(member, origin="collection")
    collect(collection, upload)
    kept, collected = make_collection(member, "Kept"), give(member, b"kept", "kept.txt", origin="collection")
    collect(kept, collected)
    Upload.objects.update(created_at=timezone.now() - timedelta(days=31))
    outsider.delete()
    remove_unsent_files()
    remove_orphans()
    assert set(Upload.objects.all()) == {collected}
    assert len(files_below(file_store)) == 1
