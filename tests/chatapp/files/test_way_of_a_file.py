"""The whole way, through real processes: up over tus, read by the worker, found by search, removed."""

from pathlib import Path

import pytest

from chatapp.accounts.models import User
from ops.services import Services
from search.retrieval import find
from tests.chatapp.files.test_web_process import announce, browser, patch
from tests.crash.waiting import wait_until
from tests.file_fixtures import RealProcess, Web, files_below, real_environment
from uploads.models import Upload

TEXT = b"# Harbour of Hull\n\nHigh tide is at noon.\n\n## Ferries\n\nThe last ferry leaves at nine in the evening.\n"


@pytest.mark.django_db(transaction=True)
def test_file_is_sent_read_found_and_gone(services: Services, file_store: Path, member: User) -> None:
    env = real_environment(services, file_store)
    with (
        Web(env) as web,
        RealProcess(env, "worker-parse"),
        RealProcess(env, "worker-io"),
        browser(web, member) as client,
    ):
        url = announce(client, len(TEXT))
        patch(client, url, 0, TEXT[:20]).raise_for_status()
        patch(client, url, 20, TEXT[20:]).raise_for_status()
        upload = Upload.objects.get()

        def state() -> str:
            [chip] = client.get("/files/states", params={"ids": str(upload.pk)}).json()
            return str(chip["state"])

        wait_until("it is read", lambda: state() == "ready", 60, state)
        [hit, *_] = wait_until("it is found", lambda: find("when does the last ferry leave", [upload.reading_id]), 30)
        assert "nine in the evening" in hit.text
        assert client.post(f"/files/{upload.pk}/remove").json() == {"ok": True}
        assert not find("ferry", [upload.reading_id])
    assert not files_below(file_store / "uploads") and not files_below(file_store / "uploads-partial")
