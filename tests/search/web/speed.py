"""What a search takes beyond the network: eight pages of 100 kB, read and ranked, from a server that answers at once.

    python -m tests.search.web.speed [RUNS]

The server is a process of its own, as another machine would be. Pages are articles of the small web told at length,
with navigation around them and tables between them.
"""

import asyncio
import multiprocessing
import statistics
import sys
import time
from contextlib import aclosing
from multiprocessing.connection import Connection

from search.web.events import Done
from search.web.fetching import Fetcher
from search.web.guard import Guard
from search.web.providers.provider import Query, Result, Results
from search.web.session import Budget, Tools, read_web
from tests.search.web.articles import articles
from tests.search.web.small_web import SmallWeb

NUM_PAGES, SIZE = 8, 100_000
QUESTION = "Who built the iron bridge of Talmar, and in which year?"


class _Listed:
    name = "listed"

    def __init__(self, urls: list[str]) -> None:
        self._urls = urls

    async def search(self, query: Query) -> Results:
        return Results(tuple(Result(url, "", "", self.name) for url in self._urls))


def long_page(number: int) -> str:
    """A page of SIZE bytes: one article, then many paragraphs that differ, as a long encyclopedia's page has them."""
    own, others = articles()[number], [article for article in articles() if article.language in ("en", "de", "fr")]
    parts = [own.html().decode().partition("</article>")[0]]
    size, place = len(parts[0].encode()), 0
    while size < SIZE - 400:
        other = others[(number + place) % len(others)]
        link = f'<a href="/wiki/{place}">{other.work}</a>'
        text = f"<p>Chapter {place} of {link}: {other.facts} {other.repairs} {other.today}</p>"
        if place % 6 == 0:
            rows = f"<tr><th>Year</th><th>Cost</th></tr><tr><td>{place}</td><td>4.2</td></tr>"
            text = f"<h2>Part {place}</h2><table>{rows}</table>{text}"
        parts.append(text)
        size, place = size + len(text.encode()), place + 1
    return "".join(parts) + "</article></main><footer>Imprint</footer></body></html>"


def _serve(pipe: Connection) -> None:
    with SmallWeb() as web:
        for number in range(NUM_PAGES):
            web.add(f"site{number}.test", "/page", long_page(number))
        pipe.send(web.port)
        pipe.recv()


async def _once(port: int) -> tuple[float, float, Done]:
    async def resolver(host: str, _: int) -> list[str]:
        return ["127.0.0.1"]

    urls = [f"http://site{number}.test:{port}/page" for number in range(NUM_PAGES)]
    began, cpu = time.perf_counter(), time.process_time()
    async with Fetcher(Guard(resolver, frozenset({("127.0.0.1", port)}))) as fetcher:
        async with aclosing(read_web(QUESTION, [QUESTION], Tools(_Listed(urls), fetcher), Budget(read_s=60))) as events:
            async for event in events:
                if isinstance(event, Done):
                    return time.perf_counter() - began, time.process_time() - cpu, event
    raise AssertionError("a search ends in Done")


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    port = ours.recv()
    asyncio.run(_once(port))  # the libraries load at the first page
    measured = [asyncio.run(_once(port)) for _ in range(runs)]
    done = measured[0][2]
    assert len(done.pages) == NUM_PAGES and "1814" in done.passages[0].text
    sizes = [len(long_page(number).encode()) for number in range(NUM_PAGES)]
    seconds, cpu = sorted(run[0] for run in measured), sorted(run[1] for run in measured)
    print(f"{NUM_PAGES} pages of {min(sizes)} bytes or more, {sum(p.num_characters for p in done.pages)} characters")
    print(f"read and ranked: median {statistics.median(seconds):.2f} s, best {seconds[0]:.2f}, worst {seconds[-1]:.2f}")
    print(f"of CPU: median {statistics.median(cpu):.2f} s in {runs} runs")
    ours.send(None)
    server.join(10)


if __name__ == "__main__":
    main()
