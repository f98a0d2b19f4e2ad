"""A chat on paper, and the archive, in a browser's hands."""

from zipfile import ZipFile

import pypdfium2
from playwright.sync_api import Page, expect

from tests.browser.chat import Chat, Person
from tests.browser.conftest import SCREENSHOTS
from tests.browser.test_finding import tell


def test_pdf_holds_the_whole_chat_in_every_script(page: Page, person: Person, model: object) -> None:
    """Printed by the browser: German, Chinese and Arabic with their fonts, and nothing of the page around the chat."""
    texts = [
        "Wie groß ist die Flußmündung?",
        "Größer.\n\n" + "It is wide. " * 800,
        "什么时候涨潮？",
        "مرحبا **المد** عند الظهر",
    ]
    ids = tell(person, "Depth of the harbour", *texts)
    from chatapp.conversations.models import Message

    conversation = Message.objects.get(pk=ids[0]).conversation_id
    Chat(page).open(f"/c/{conversation}")
    expect(page.locator("[data-part=text] strong")).to_have_text("المد")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Export this chat").click()
        page.get_by_role("menuitem", name="Markdown").click()
    assert "什么时候涨潮？" in waiting.value.path().read_text(encoding="utf-8")
    page.emulate_media(color_scheme="dark")
    path = SCREENSHOTS / "export.pdf"
    page.pdf(path=path, format="A4", margin={"top": "2cm", "bottom": "2cm", "left": "2cm", "right": "2cm"})
    document = pypdfium2.PdfDocument(path)
    text = "".join(document[number].get_textpage().get_text_bounded() for number in range(len(document)))
    assert len(document) > 1
    for part in ("Depth of the harbour", "Flußmündung", "涨潮"):
        assert part in text
    assert "المد" in text or "دملا" in text, "in the order of reading, or of the page"
    assert "New folder" not in text and "Ask anything" not in text
    document[0].render(scale=1).to_pil().save(SCREENSHOTS / "export-page-1.png")


def test_archive_is_made_by_a_worker_and_taken_home(page: Page, person: Person, reading: object) -> None:
    page.goto("/account/archives")
    page.get_by_role("button", name="Make an archive").click()
    expect(page.locator("[data-archive]")).to_be_visible()
    download = page.get_by_role("link", name="Download")
    expect(download).to_be_visible(timeout=30_000)  # the page asks again by itself
    page.screenshot(path=SCREENSHOTS / "export-archives.png")
    with page.expect_download() as taken:
        download.click()
    with ZipFile(taken.value.path()) as archive:
        assert archive.testzip() is None and archive.namelist()
