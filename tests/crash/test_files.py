"""A file in the whole stack: sent, read by the worker, asked about, and the next time read from the model's cache."""

import base64

import pytest

from tests.crash.asked import Asked
from tests.crash.conftest import Endpoints
from tests.crash.reader import Reader
from tests.crash.site import Site
from tests.crash.waiting import wait_until
from tests.scripted_endpoint import TEXT

pytestmark = pytest.mark.crash

LOG = "".join(
    f"On day {day} the keeper of the light saw {day * 3} ships and wrote it down.\n\n" for day in range(1, 41)
)


def send_file(site: Site, name: str, text: str) -> str:
    """As the browser does, in one request. Returns the upload's id."""
    with site.browser() as client:
        client.get(site.stack.url).raise_for_status()
        headers = {
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(len(text)),
            "Upload-Metadata": f"filename {base64.b64encode(name.encode()).decode()}",
            "Content-Type": "application/offset+octet-stream",
            "X-CSRFToken": client.cookies["csrftoken"],
            "Referer": site.stack.url,
        }
        response = client.post(f"{site.stack.url}files/uploads", headers=headers, content=text.encode())
        assert response.status_code == 201, response.text
    return response.headers["Location"].rpartition("/")[2]


def ask_about(site: Site, tab: Reader, text: str, **fields: object) -> Asked:
    accepted = tab.request(
        "send_message", text=text, **{"conversation": None, "parent": None, "endpoint": None} | fields
    )
    assert accepted["type"] == "accepted", accepted
    tab.follow(accepted["conversation"])
    return Asked(site, tab, accepted)


def test_the_second_question_on_a_file_is_read_from_the_models_cache(site: Site, tab: Reader) -> None:
    """Sent at once: the answer waits until the file is read. The document stands first, so that its prefix is kept."""
    upload = send_file(site, "log.txt", LOG)
    first = ask_about(site, tab, "How many ships on day 5?", uploads=[upload])
    assert first.wait_end().status == "finished"
    second = ask_about(site, tab, "And on day 9?", conversation=first.conversation, parent=first.reply)
    assert second.wait_end().status == "finished"
    counts = "SELECT prompt_tokens, cached_tokens, request->>'sources' AS sources FROM answers_answer WHERE id = %s"
    [one], [two] = (site.execute(counts, asked.answer) for asked in (first, second))
    assert one["sources"] == two["sources"] == "whole"
    assert one["cached_tokens"] == 0 and one["prompt_tokens"] > 500
    assert two["cached_tokens"] > 0.9 * one["prompt_tokens"]


def test_question_waits_for_a_file_whose_worker_is_away(site: Site, endpoints: Endpoints, tab: Reader) -> None:
    with site.without("worker-parse"):
        upload = send_file(site, "late.txt", LOG.replace("keeper", "warden"))
        asked = ask_about(site, tab, "Who wrote it down?", uploads=[upload], endpoint=endpoints.by_prefix)
        waits = "SELECT notices FROM answers_answer WHERE id = %s"
        wait_until("it waits", lambda: "waiting_for_files" in str(site.execute(waits, asked.answer)), 30)
    row = asked.wait_end(120)
    assert (row.status, row.text) == ("finished", TEXT)
    [body] = endpoints.asked("Who wrote it down?")
    assert "the warden of the light saw 120 ships" in body["messages"][0]["content"]
