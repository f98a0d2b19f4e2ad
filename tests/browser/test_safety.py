"""What an answer may not do to the page that shows it."""

from pathlib import Path

from playwright.sync_api import Page, Request, expect

from tests.browser.chat import Chat
from tests.browser.written_endpoint import WrittenEndpoint

HOSTILE = r"""
<script>window.ran = 1</script>

<img src=x onerror="window.ran = 2">

[a link](javascript:window.ran=3) and [data](data:text/html,<script>window.ran=4</script>)

![picture](https://images.example.org/spy.png) and ![x](x" onerror="window.ran=5)

<svg onload="window.ran=6"></svg><iframe srcdoc="<script>parent.ran=7</script>"></iframe>

\(\href{javascript:window.ran=8}{x}\) and \[\includegraphics{https://images.example.org/y.png}\]

```mermaid
graph TD
  A["<img src=https://images.example.org/z.png onerror='window.ran=9'>"] --> B
  click A "javascript:window.ran=10"
```

<a href="https://example.org" style="position:fixed" onclick="window.ran=11">styled</a> <https://example.org/auto>
"""


def test_hostile_answer_runs_nothing_and_loads_nothing(chat: Chat, page: Page, endpoint: WrittenEndpoint) -> None:
    foreign: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((page.url.split("/c/")[0].rstrip("/"), "data:")):
            foreign.append(request.url)

    page.on("request", note)
    endpoint.answers["Attack"] = HOSTILE
    chat.ask("Attack")
    chat.wait_for_end()
    page.wait_for_timeout(500)
    for link in chat.text().locator("a").all():
        assert (link.get_attribute("href") or "").startswith("https://")
        assert "noopener" in (link.get_attribute("rel") or "")
    assert page.evaluate("window.ran") is None
    assert foreign == []
    expect(chat.text()).to_contain_text("<script>window.ran = 1</script>")
    expect(chat.text().locator("script, iframe, svg[onload], [style*=fixed], [onclick]")).to_have_count(0)
    expect(chat.text().locator("a.image-link")).to_have_text("picture")


def test_diagram_is_drawn_as_an_image(chat: Chat, page: Page, endpoint: WrittenEndpoint) -> None:
    endpoint.answers["Draw"] = "```mermaid\ngraph LR\n  Ship[The ship] --> Line --> Lead\n```\n"
    chat.ask("Draw")
    chat.wait_for_end()
    image = chat.text().locator("img.diagram__image")
    expect(image).to_be_visible()
    page.wait_for_function("document.querySelector('.diagram__image').naturalWidth > 50")
    page.screenshot(path="var/screenshots/diagram.png")


def test_broken_formula_and_diagram_stay_readable(chat: Chat, endpoint: WrittenEndpoint) -> None:
    endpoint.answers["Broken"] = "\\(\\frac{1}{\\)\n\n```mermaid\nno such thing\n```\n\nAfter it."
    chat.ask("Broken")
    chat.wait_for_end()
    expect(chat.text()).to_contain_text("no such thing")
    expect(chat.text()).to_contain_text("After it.")


def test_finished_blocks_are_not_drawn_again(chat: Chat, page: Page, endpoint: WrittenEndpoint, model: object) -> None:
    model.model = "gate:6"  # type: ignore[attr-defined]
    model.save()  # type: ignore[attr-defined]
    endpoint.gate.clear()
    endpoint.answers["Blocks"] = "First paragraph.\n\nSecond one.\n\nThird paragraph.\n\n- and\n- a list\n"
    chat.ask("Blocks")
    expect(chat.text().locator("p").nth(1)).to_be_attached()
    chat.text().locator("p").first.evaluate("node => { node.mark = 'kept' }")
    endpoint.gate.set()
    chat.wait_for_end()
    assert chat.text().locator("p").first.evaluate("node => node.mark") == "kept"
    expect(chat.text().locator("li")).to_have_count(2)


def test_streamed_text_ends_as_if_it_had_come_at_once(chat: Chat, page: Page) -> None:
    text = Path(__file__).with_name("sounding.md").read_text(encoding="utf-8")
    different = page.evaluate(
        """async text => {
            const { MarkdownView } = await import("/static/js/helpers/markdown.js")
            const frame = () => new Promise(requestAnimationFrame)
            const settled = async element => { for (let i = 0; i < 30; i++) await frame(); return element }
            const visible = element => [...element.querySelectorAll("p, li, td, code")].map(node => node.textContent)
            const whole = document.createElement("div")
            new MarkdownView(whole).render(text)
            const different = []
            for (const size of [3, 11, 40]) {
                const element = document.createElement("div")
                const view = new MarkdownView(element)
                for (let at = size === 3 ? 900 : 0; at < text.length; at += size) {
                    view.update(text.slice(0, at), true)
                    await frame()
                }
                view.update(text, false)
                await settled(element)
                await settled(whole)
                const [one, other] = [visible(element), visible(whole)]
                if (one.join("|") !== other.join("|")) different.push([size, one, other])
            }
            return different
        }""",
        text,
    )
    assert different == []
