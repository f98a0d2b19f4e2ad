"""Pages read: main text in blocks, in every language and encoding of the small web; and why some give none."""

import pytest

from search.passages import cut
from search.web.fetching import Fetcher
from search.web.guard import Guard
from search.web.html import read_html
from search.web.page import Page
from search.web.plain import read_plain
from search.web.reading import read_page
from search.web.unread import Fault, Unread
from tests.search.web.articles import Article, articles
from tests.search.web.documentation import likeness, npm_pages
from tests.search.web.small_web import ENCODINGS, SITE, TRAPS, SmallWeb

URL = "http://talmar.test/page"


def text_of(page: Page) -> str:
    return "\n".join(block.text for block in page.blocks)


async def read(web: SmallWeb, host: str, path: str) -> Page:
    async with Fetcher(Guard(web.resolver, web.exceptions)) as fetcher:
        return await read_page(await fetcher.fetch(web.url(host, path)))


@pytest.mark.parametrize("article", articles(), ids=lambda article: article.path)
async def test_an_article_is_read_and_nothing_around_it(article: Article, web: SmallWeb) -> None:
    page = await read(web, SITE, article.path)
    assert text_of(page) == article.text
    assert page.about.title == f"{article.work} | Talmar"
    assert (page.about.site, page.about.language) == ("Talmar Chronicle", article.language)
    assert page.about.date == f"2024-03-{article.number + 1:02}"
    assert page.about.canonical == web.url(SITE, article.path)


@pytest.mark.parametrize("number", range(len(ENCODINGS)), ids=lambda number: "-".join(ENCODINGS[number]))
async def test_an_article_is_read_in_every_encoding(number: int, web: SmallWeb) -> None:
    language = ENCODINGS[number][0]
    article = next(a for a in articles() if (a.language, a.number) == (language, number % 12))
    assert text_of(await read(web, "encodings.test", f"/{number}")) == article.text


RICH = """<html><body><nav><a href=/>Home</a></nav><article><h1>Harbour station</h1><p>The <b>harbour</b> station was
    built in 1911 by the engineer <a href=/v>Clara Voss</a>, who had come from the north.<br>A second line of it.</p>
    <h2>Costs</h2><p>Replacing the cast iron mains will cost 4.2 million euros, says the board.</p>
    <ul><li>First with <code>code</code></li><li>Second<ul><li>nested</li></ul></li></ul>
    <pre><code>def f(x):\n    return x</code></pre>
    <table><thead><tr><th>Year</th><th>Cost</th></tr></thead><tr><td>1911</td><td>4.2</td></tr></table>
    <h3>Later</h3><dl><dt>Main</dt><dd>A pipe that feeds the others.</dd></dl><h2>Today</h2>
    <p>It is still there, and is visited by schools from the whole county, mostly
    in June.</p></article></body></html>"""


def test_blocks_know_their_kind_and_their_headings() -> None:
    page = read_html(RICH, URL)
    top, costs, later = "Harbour station", "Costs", "Later"
    assert [(block.kind, block.text, block.headings) for block in page.blocks] == [
        ("heading", top, ()),
        (
            "text",
            "The harbour station was built in 1911 by the engineer Clara Voss, who had come from the north.\n"
            "A second line of it.",
            (top,),
        ),
        ("heading", costs, (top,)),
        ("text", "Replacing the cast iron mains will cost 4.2 million euros, says the board.", (top, costs)),
        ("text", "- First with code\n- Second\n- nested", (top, costs)),
        ("code", "def f(x):\n    return x", (top, costs)),
        ("table", "Year\tCost\n1911\t4.2", (top, costs)),
        ("heading", later, (top, costs)),
        ("text", "- Main: A pipe that feeds the others.", (top, costs, later)),
        ("heading", "Today", (top,)),
        ("text", "It is still there, and is visited by schools from the whole county, mostly in June.", (top, "Today")),
    ]
    assert [block.place["paragraph"] for block in page.blocks] == list(range(1, 12))
    assert page.blocks[6].place["fragment"] == "text=Year,4.2"


def test_blocks_become_passages() -> None:
    passages = cut(read_html(RICH, URL).blocks)
    assert ("Harbour station", "Costs") in [passage.headings for passage in passages]
    assert all(passage.place["kind"] == "text" for passage in passages)


@pytest.mark.parametrize(
    ("path", "fault"), [("/shell", "scripts"), ("/wall", "wall"), ("/blank", "empty"), ("/deep", "broken")]
)
async def test_a_page_without_text_says_why(path: str, fault: Fault, web: SmallWeb) -> None:
    with pytest.raises(Unread) as unread:
        await read(web, TRAPS, path)
    assert unread.value.fault == fault


@pytest.mark.parametrize(
    "body",
    [
        "<p>Please enable JavaScript to view this page.</p>",
        "<div id='app'></div><script src=a.js></script><p>Loading</p>",
    ],
)
def test_a_page_made_by_scripts_is_known(body: str) -> None:
    with pytest.raises(Unread, match="scripts"):
        read_html(f"<html><head><title>t</title></head><body>{body}</body></html>", URL)


@pytest.mark.parametrize(
    "body",
    [
        "<p>Bitte stimmen Sie der Verwendung von Cookies zu.</p>",
        "<h1>Checking your browser</h1><p>Verify you are human.",
    ]
    + ["<p>请完成人机验证</p>", "<p>Sign in to continue reading.</p>"],
)
def test_a_wall_is_known(body: str) -> None:
    with pytest.raises(Unread, match="wall"):
        read_html(f"<html><body>{body}</body></html>", URL)


def test_a_text_about_cookies_is_a_text() -> None:
    text = "Cookies were invented in 1994 so that a shop could remember what was in a basket. " * 8
    assert read_html(f"<html><body><article><h1>Cookies</h1><p>{text}</p></article></body></html>", URL).blocks


@pytest.mark.parametrize("html", ["", " ", "<!-- -->", "<html></html>", "\0\0", "<?xml version='1.0'?>"])
def test_what_is_no_page_is_empty(html: str) -> None:
    with pytest.raises(Unread, match="empty"):
        read_html(html, URL)


def test_a_page_that_is_all_tags_is_read_as_far_as_it_goes() -> None:
    page = read_html("<html><body>" + "<p>The river is calm in June, they say.</p>" * 50_000, URL)
    assert page.is_cut and 10_000 < len(page.blocks) < 25_000


def test_a_declaration_of_xml_does_not_matter() -> None:
    html = '<?xml version="1.0" encoding="ascii"?><html><body><p>Größe über alles, in einem Satz.</p></body></html>'
    assert "Größe" in text_of(read_html(html, URL))


async def test_plain_text_is_read_by_paragraphs(web: SmallWeb) -> None:
    page = await read(web, TRAPS, "/notes.txt")
    assert [(block.kind, block.text, block.headings) for block in page.blocks] == [
        ("heading", "Notes", ()),
        ("text", "The tide turns at four.", ("Notes",)),
        ("text", "Bring a lamp.", ("Notes",)),
    ]
    assert page.about.title == "Notes"


def test_markdown_headings_and_code_are_seen() -> None:
    page = read_plain("# One\n\n## Two ##\n\ntext\n\n```py\nx = 1\n```", URL)
    assert [(block.kind, block.text) for block in page.blocks] == [
        ("heading", "One"),
        ("heading", "Two"),
        ("text", "text"),
        ("code", "x = 1"),
    ]


async def test_a_pdf_is_handed_over_by_its_bytes(web: SmallWeb) -> None:
    given: list[tuple[bytes, str]] = []

    async def read_pdf(content: bytes, url: str) -> list[object]:
        given.append((content, url))
        return list(read_plain("The text of the paper.", url).blocks)

    async with Fetcher(Guard(web.resolver, web.exceptions)) as fetcher:
        fetched = await fetcher.fetch(web.url(TRAPS, "/paper.pdf"))
    page = await read_page(fetched, read_pdf)
    assert given == [(b"%PDF-1.7 the bytes of a paper", web.url(TRAPS, "/paper.pdf"))]
    assert (text_of(page), page.about.title) == ("The text of the paper.", "paper.pdf")
    with pytest.raises(Unread, match="media_type"):
        await read_page(fetched)


def test_the_main_text_of_real_documentation_is_kept() -> None:
    """The pages that npm brings along, against the markdown that they were made of."""
    pages = npm_pages()[::4]
    assert len(pages) >= 15
    scores = [likeness(text_of(read_html(html, URL)), source) for html, source in pages]
    assert sum(scores) / len(scores) >= 0.90
