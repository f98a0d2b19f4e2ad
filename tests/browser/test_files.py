"""Files beside a question: chosen, dropped and pasted, on their way, read, removed; and lost and found again."""

import re
import time

from playwright.sync_api import Dialog, Page, Request, expect

from tests.browser.chat import Chat
from tests.browser.files import PARAGRAPH, Line, SentFrames, Tray, bytes_file, text_file
from tests.browser.site import Site

MIB = 1024 * 1024
READ_MS = 40_000  # the first file of a run also waits until the worker has started


def test_chosen_files_are_uploaded_and_read(chat: Chat, page: Page, reading: Site) -> None:
    tray = Tray(page)
    tray.choose(text_file("soundings.txt"), text_file("第二份.md", "# 深度\n\n" + PARAGRAPH))
    expect(tray.chips).to_have_count(2)
    expect(tray.chip("soundings.txt")).to_have_attribute("data-state", "ready", timeout=READ_MS)
    expect(tray.chip("第二份.md")).to_have_attribute("data-state", "ready", timeout=READ_MS)
    expect(page.locator("[data-files-announcer]")).to_contain_text("is ready.")


def test_files_are_dropped_anywhere_on_the_window(chat: Chat, page: Page, reading: Site) -> None:
    tray = Tray(page)
    veil = page.locator("[data-drop-veil]")
    tray.drag_over("[data-sidebar]")
    expect(veil).to_be_visible()
    expect(veil).to_contain_text("Drop the files here")
    tray.drag_away("[data-sidebar]")
    expect(veil).to_be_hidden()
    tray.drop("[data-hello]", text_file("one.txt"), text_file("two.txt", "Another text."))
    expect(veil).to_be_hidden()
    expect(tray.chips).to_have_count(2)
    expect(tray.chip("two.txt")).to_have_attribute("data-state", "ready", timeout=READ_MS)


def test_long_pasted_text_becomes_a_file_and_may_become_text_again(chat: Chat, page: Page, reading: Site) -> None:
    tray = Tray(page)
    tray.paste_text("short")
    expect(tray.chips).to_have_count(0)
    long = "\n".join(f"{number}: {PARAGRAPH}" for number in range(100))
    tray.paste_text(long)
    chip = tray.chip("Pasted text")
    expect(chip).to_have_attribute("data-state", "ready", timeout=READ_MS)
    expect(chat.field).to_have_value("")
    chip.get_by_role("button", name="Put it back as text").click()
    expect(tray.chips).to_have_count(0)
    expect(chat.field).to_have_value(long)
    expect(chat.field).to_be_focused()


def test_pasted_picture_becomes_a_file_of_which_the_text_is_read(chat: Chat, page: Page, reading: Site) -> None:
    tray = Tray(page)
    tray.paste_picture(page.screenshot())
    chip = tray.chip("Pasted picture")
    expect(chip).to_have_attribute("data-state", "ready", timeout=READ_MS)
    expect(chip).to_contain_text("only the text in it is read")


def test_what_is_not_taken_says_why_and_holds_the_question_back(chat: Chat, page: Page) -> None:
    tray = Tray(page)
    tray.choose(text_file("nothing.txt", ""))
    chip = tray.chip("nothing.txt")
    expect(chip).to_contain_text("The file is empty.")
    chat.field.fill("What does it say?")
    expect(page.get_by_role("button", name="Remove the file that cannot be sent, then send")).to_be_disabled()
    chat.field.press("Enter")
    expect(chat.field).to_have_value("What does it say?")
    chip.get_by_role("button", name="Remove: nothing.txt").click()
    expect(page.get_by_role("button", name="Send")).to_be_enabled()


def test_upload_goes_on_after_a_lost_connection(chat: Chat, page: Page) -> None:
    tray, line = Tray(page), Line(page)
    offsets: list[int] = []
    page.on("request", lambda request: _note_offset(request, offsets))
    line.slow_down(6 * MIB)
    tray.choose(bytes_file("log.txt", 20 * MIB))
    chip = tray.chip("log.txt")
    expect(chip).to_contain_text(re.compile(r"Uploading, [4-9]\d%"))
    line.cut()
    expect(chip).to_have_attribute("data-state", "interrupted")
    line.mend()
    expect(chip).to_have_attribute("data-state", re.compile("queued|parsing|ready"), timeout=30_000)
    assert offsets[0] == 0
    assert offsets.count(0) == 1, f"it began anew: {offsets}"
    assert all(later >= earlier for earlier, later in zip(offsets, offsets[1:], strict=False)), offsets


def test_upload_goes_on_after_a_reload_with_the_same_file(chat: Chat, page: Page) -> None:
    tray, line = Tray(page), Line(page)
    file = bytes_file("log.txt", 20 * MIB)
    line.slow_down(6 * MIB)
    tray.choose(file)
    expect(tray.chip("log.txt")).to_contain_text(re.compile(r"Uploading, [4-9]\d%"))
    page.on("dialog", _leave)
    page.reload()
    chip = tray.chip("log.txt")
    expect(chip).to_contain_text(re.compile(r"Stopped at \d+%: choose the same file again"))
    offsets: list[int] = []
    page.on("request", lambda request: _note_offset(request, offsets))
    with page.expect_file_chooser() as chooser:
        chip.get_by_role("button", name="Choose the file again: log.txt").click()
    chooser.value.set_files([bytes_file("log.txt", 100)])
    expect(page.locator("[data-toasts]")).to_contain_text("That is another file")
    with page.expect_file_chooser() as chooser:
        chip.get_by_role("button", name="Choose the file again: log.txt").click()
    chooser.value.set_files([file])
    expect(chip).to_have_attribute("data-state", re.compile("queued|parsing|ready"), timeout=30_000)
    assert offsets and offsets[0] >= 8 * MIB, offsets


def test_question_waits_for_its_upload_and_goes_by_itself(chat: Chat, page: Page) -> None:
    sent = SentFrames(page)
    page.reload()
    tray, line = Tray(page), Line(page)
    line.slow_down(2 * MIB)
    tray.choose(bytes_file("log.txt", 6 * MIB))
    expect(tray.chips).to_have_attribute("data-state", "uploading")
    chat.ask("What is in the log?")
    pending = page.locator("[data-pending-message]")
    expect(pending).to_contain_text("Sends when the upload is done.")
    expect(pending.locator("[data-chip]")).to_contain_text("log.txt")
    expect(tray.chips).to_have_count(0)
    assert sent.of("send_message") == []
    line.mend()
    until = time.monotonic() + 20
    while not sent.of("send_message") and time.monotonic() < until:
        page.wait_for_timeout(100)
    (frame,) = sent.of("send_message")
    assert frame["text"] == "What is in the log?"
    assert len(frame["uploads"]) == 1
    assert frame["read_all"] is False


def test_waiting_question_survives_a_reload(chat: Chat, page: Page) -> None:
    sent = SentFrames(page)
    tray, line = Tray(page), Line(page)
    file = bytes_file("log.txt", 6 * MIB)
    line.slow_down(MIB)
    tray.choose(file)
    expect(tray.chips).to_have_attribute("data-state", "uploading")
    chat.ask("What is in the log?")
    expect(page.locator("[data-pending-message]")).to_contain_text("Sends when the upload is done.")
    page.on("dialog", _leave)
    page.reload()
    pending = page.locator("[data-pending-message]")
    expect(pending).to_contain_text("What is in the log?")
    expect(pending).to_contain_text("choose the same file again")
    with page.expect_file_chooser() as chooser:
        pending.get_by_role("button", name="Choose the file again: log.txt").click()
    chooser.value.set_files([file])
    until = time.monotonic() + 20
    while not sent.of("send_message") and time.monotonic() < until:
        page.wait_for_timeout(100)
    assert [len(frame["uploads"]) for frame in sent.of("send_message")] == [1]


def test_sent_files_are_shown_with_their_question_also_when_it_is_edited(chat: Chat, page: Page) -> None:
    tray = Tray(page)
    tray.choose(text_file("first.txt"), text_file("second.txt", "Another text."))
    expect(tray.chips).to_have_count(2)
    chat.ask("What do they say?")
    sent = chat.questions.last.locator("[data-upload]")
    expect(sent).to_have_count(2)
    expect(sent.first).to_contain_text("first.txt")
    expect(tray.chips).to_have_count(0)
    chat.wait_for_end()
    chat.questions.last.hover()
    chat.questions.last.get_by_role("button", name="Edit").click()
    page.get_by_label("Edit your question").fill("What do they both say?")
    page.get_by_label("Edit your question").press("Enter")
    expect(chat.questions.last.locator(".pager__place")).to_have_text("2/2")
    expect(chat.questions.last).to_contain_text("What do they both say?")
    expect(chat.questions.last.locator("[data-upload]")).to_have_count(2)


def test_files_stay_with_the_draft_of_their_conversation(chat: Chat, page: Page) -> None:
    chat.ask("First question")
    chat.wait_for_end()
    tray = Tray(page)
    tray.choose(text_file("kept.txt"))
    expect(tray.chip("kept.txt")).to_have_attribute("data-state", re.compile("queued|parsing|ready"))
    conversation = page.url
    page.goto("/")
    expect(tray.chips).to_have_count(0)
    page.goto(conversation)
    expect(tray.chip("kept.txt")).to_be_visible()
    tray.chip("kept.txt").get_by_role("button", name="Remove: kept.txt").press("Enter")
    expect(tray.chips).to_have_count(0)
    expect(chat.field).to_be_focused()
    page.reload()
    expect(chat.field).to_be_visible()
    expect(tray.chips).to_have_count(0)


def _note_offset(request: Request, offsets: list[int]) -> None:
    if request.method == "PATCH" and "/files/uploads/" in request.url:
        offsets.append(int(request.headers["upload-offset"]))


def _leave(dialog: Dialog) -> None:
    dialog.accept()
