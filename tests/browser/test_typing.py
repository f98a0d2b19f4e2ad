"""The composer under the hand: keys, input methods, long pastes, and the page without a mouse."""

import time

from playwright.sync_api import CDPSession, Page, expect

from tests.browser.chat import Chat
from tests.browser.written_endpoint import WrittenEndpoint


def test_shift_enter_makes_a_line_and_enter_sends(chat: Chat) -> None:
    chat.field.press_sequentially("one")
    chat.field.press("Shift+Enter")
    chat.field.press_sequentially("two")
    expect(chat.field).to_have_value("one\ntwo")
    expect(chat.questions).to_have_count(0)
    chat.field.press("Enter")
    expect(chat.questions.last.locator("[data-part=text]")).to_have_text("one\ntwo")


def test_enter_within_a_composition_does_not_send(chat: Chat, page: Page) -> None:
    client: CDPSession = page.context.new_cdp_session(page)
    chat.field.focus()
    client.send("Input.imeSetComposition", {"text": "shen", "selectionStart": 4, "selectionEnd": 4})
    # An input method keeps the key: the browser reports 229 and isComposing.
    client.send(
        "Input.dispatchKeyEvent",
        {"type": "rawKeyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229},
    )
    chat.field.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    client.send("Input.insertText", {"text": "深"})
    expect(chat.field).to_have_value("深")
    expect(chat.questions).to_have_count(0)
    time.sleep(0.1)
    chat.field.press("Enter")
    expect(chat.questions.last).to_contain_text("深")


def test_twenty_thousand_lines_do_not_freeze_the_page(chat: Chat, page: Page) -> None:
    text = "\n".join(f"line {number} of a very long log" for number in range(20_000))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable")
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    chat.field.focus()
    # The work of the page's own thread: wall time would count the neighbours of a busy machine.
    began = _thread_time(client)
    page.keyboard.press("Control+V")
    # It is a file until its writer wants it as text.
    page.get_by_role("button", name="Put it back as text").click()
    expect(chat.field).not_to_have_value("")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    pasted = _thread_time(client) - began
    chat.field.press("Enter")
    expect(chat.questions.last).to_contain_text("line 3 of a very long log")
    shown = _thread_time(client) - began - pasted
    print(f"paste {pasted:.2f} s, send and show {shown:.2f} s")
    assert pasted < 2 and shown < 2
    chat.wait_for_end("failed")
    expect(chat.answers.last.get_by_role("alert")).to_contain_text("longer than the model can read")
    page.reload()
    expect(chat.questions.last.locator("[data-excerpt]")).to_be_visible()
    chat.questions.last.get_by_text("Show all").click()
    expect(chat.questions.last.locator("[data-part=text]")).to_contain_text("line 19999 of")


def test_everything_is_reached_by_keyboard(chat: Chat, page: Page, endpoint: WrittenEndpoint) -> None:
    endpoint.answers["Keys only"] = "```sh\nls\n```\n"
    expect(chat.field).to_be_focused()
    page.keyboard.type("Keys only")
    page.keyboard.press("Enter")
    chat.wait_for_end()
    # The list is fetched a little after the change that it shows; a quick answer may be there first.
    expect(page.locator("[data-entry]").filter(has_text="Keys only")).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                """() => {
                    const { ariaLabel, textContent } = document.activeElement
                    return (ariaLabel || textContent || "").trim().slice(0, 40)
                }"""
            )
        )
    for name in (
        "Skip to the content",
        "New chat",
        "Keys only",
        "Copy",
        "Edit",
        "Answer again",
        "Details",
        "Your question",
    ):
        assert name in reached, f"{name!r} is not reached by Tab: {sorted(reached)}"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    expect(chat.field).to_be_focused()
    page.keyboard.press("Control+Shift+O")
    page.wait_for_url("**/")


def test_every_control_has_a_name(chat: Chat, page: Page) -> None:
    chat.ask("Anything")
    chat.wait_for_end()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, a[href], input, textarea, select, [role=img]")]
            .filter(node => node.type !== "hidden")
            .filter(node => !(node.ariaLabel || node.textContent.trim() || node.labels?.length))
            .map(node => node.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    for region in ("main", "complementary", "navigation"):
        expect(page.get_by_role(region)).to_have_count(1)


def _thread_time(client: CDPSession) -> float:
    metrics = client.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "ThreadTime"))
