"""Nothing gets through: every way we know to make a server ask itself, its network or its cloud.

The listener is real and its port allowed; the cases run without any exception. A redirect's first step is the one
server that has an exception, and what it leads to has none.
"""

from collections.abc import AsyncIterator, Iterator, Sequence

import httpx
import pytest

from search.web.guard import Guard, exceptions_for, is_own
from search.web.refused import Refused
from search.web.transport import GuardedTransport
from search.web.urls import parse_url, redirect_target
from tests.search.web.listening import Listener


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as listening:
        yield listening


class Names:
    """A name server: each name's answers in turn, the last one for ever."""

    def __init__(self, answers: dict[str, list[list[str]]]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self._answers.get(host.removesuffix("."))
        if answers is None:
            raise OSError("no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]


HERE = [["127.0.0.1"]]
NAMES = {
    "localhost": [["127.0.0.1", "::1"]],
    "localtest.test": HERE,
    "sub.localtest.test": HERE,
    "127.0.0.1.nip.test": HERE,
    "xn--lcalhost-54a.test": HERE,
    "xn--r8jz45g.test": HERE,
    "mapped.test": [["::ffff:127.0.0.1"]],
    "nat64.test": [["64:ff9b::7f00:1"]],
    "sixtofour.test": [["2002:7f00:1::"]],
    "zone.test": [["fe80::1%eth0"]],
    "half.test": [["93.184.216.34", "127.0.0.1"]],
    "metadata.test": [["169.254.169.254"]],
    "metadata.google.internal": [["169.254.169.254"]],
    "any.test": [["0.0.0.0"]],
    "private.test": [["192.168.1.10"]],
    "ula.test": [["fd00:ec2::254"]],
    "odd.test": [["0x7f000001"]],
    "empty.test": [[]],
}

# {port} is the listener's.
URLS = """
    http://127.0.0.1:{port}/ https://127.0.0.1:{port}/ http://127.0.0.1.:{port}/ http://127.1:{port}/
    http://127.0.1:{port}/ http://127.255.255.254:{port}/ http://0:{port}/ http://0.0.0.0:{port}/
    http://2130706433:{port}/ http://0x7f000001:{port}/ http://0x7f.0x0.0x0.0x1:{port}/ http://0x7f.1:{port}/
    http://017700000001:{port}/ http://0177.0.0.1:{port}/ http://0177.0.0.01:{port}/ http://127.0.0.1%00:{port}/
    http://127.0.0.01:{port}/ http://127.0.0.1%2f:{port}/ http://127%2e0%2e0%2e1:{port}/ http://3232235777:{port}/
    http://127。0。0。1:{port}/ http://127．0．0．1:{port}/ http://①②⑦.⓪.⓪.①:{port}/ http://１２７.０.０.１:{port}/
    http://١٢٧.0.0.1:{port}/ http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/ http://ｌｏｃａｌｈｏｓｔ:{port}/
    http://localhost:{port}/ http://LOCALHOST:{port}/ http://localhost.:{port}/ http://localtest.test:{port}/
    http://localtest.test.:{port}/ http://sub.localtest.test:{port}/ http://127.0.0.1.nip.test:{port}/
    http://lócalhost.test:{port}/ http://例え.test:{port}/ http://mapped.test:{port}/ http://nat64.test:{port}/
    http://sixtofour.test:{port}/ http://zone.test:{port}/ http://half.test:{port}/ http://any.test:{port}/
    http://private.test:{port}/ http://ula.test:{port}/ http://odd.test:{port}/ http://empty.test:{port}/
    http://nowhere.test:{port}/ http://metadata.test:{port}/ http://metadata.google.internal/computeMetadata/v1/
    http://[::1]:{port}/ http://[::]:{port}/ http://[0:0:0:0:0:0:0:1]:{port}/ http://[::127.0.0.1]:{port}/
    http://[::ffff:127.0.0.1]:{port}/ http://[::ffff:7f00:1]:{port}/ http://[0:0:0:0:0:ffff:7f00:0001]:{port}/
    http://[::ffff:0:7f00:1]:{port}/ http://[64:ff9b::127.0.0.1]:{port}/ http://[64:ff9b:1::7f00:1]:{port}/
    http://[2002:7f00:1::]:{port}/ http://[2001:0:53aa:64c:0:0:80ff:fffe]:{port}/ http://[fe80::1%25lo]:{port}/
    http://[fe80::1%lo]:{port}/ http://[::1%25lo]:{port}/ http://[fd00::1]:{port}/ http://[ff02::1]:{port}/
    http://169.254.169.254/latest/meta-data/ http://[fd00:ec2::254]/latest/ http://100.100.100.200/latest/
    http://192.0.0.192/opc/v2/ http://168.63.129.16/machine/ http://10.0.0.1/ http://172.16.0.1/ http://192.168.1.1/
    http://100.64.0.1/ http://198.18.0.1/ http://192.0.2.1/ http://203.0.113.1/ http://224.0.0.1/ http://240.0.0.1/
    http://255.255.255.255/ http://[2001:db8::1]/ http://[3fff::1]/
    http://user@127.0.0.1:{port}/ http://user:word@127.0.0.1:{port}/ http://example.org@127.0.0.1:{port}/
    http://127.0.0.1:{port}@example.org/ http://example.org:80@127.0.0.1:{port}/ http://@127.0.0.1:{port}/
    http://example.org\\@127.0.0.1:{port}/ http://127.0.0.1:{port}\\@example.org/ http://127.0.0.1\\.example.org:{port}/
    http://example.org#@127.0.0.1:{port}/ http:127.0.0.1:{port}/ http:/127.0.0.1:{port}/ http:///127.0.0.1:{port}/
    http://[127.0.0.1]:{port}/ http://[::1]extra:{port}/ http://::1:{port}/ //127.0.0.1:{port}/ 127.0.0.1:{port}
    http://1.1.1.1:22/ http://1.1.1.1:25/ http://1.1.1.1:6379/ http://1.1.1.1:0/ http://1.1.1.1:65536/
    ftp://127.0.0.1:{port}/ file:///etc/passwd gopher://127.0.0.1:{port}/_x dict://127.0.0.1:{port}/ ws://127.0.0.1/
    unix:///var/run/docker.sock data:text/html,x jar:http://127.0.0.1!/ ldap://127.0.0.1:{port}/
""".split()


def test_the_suite_has_many_different_urls() -> None:
    assert len(set(URLS)) == len(URLS) >= 60


@pytest.fixture
async def client(listener: Listener) -> AsyncIterator[httpx.AsyncClient]:
    """Asks without any exception; the listener's port counts as one where websites are."""
    async with _client(Guard(Names(dict(NAMES)), ports=frozenset({80, 443, listener.port}))) as asking:
        yield asking


def _client(guard: Guard) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=GuardedTransport(guard), trust_env=False, timeout=2)


async def _ask(client: httpx.AsyncClient, text: str) -> httpx.Response:
    return await client.get(parse_url(text))


async def test_the_listener_is_there_for_who_has_an_exception(listener: Listener) -> None:
    guard = Guard(Names(dict(NAMES)), frozenset({("127.0.0.1", listener.port)}))
    async with _client(guard) as client:
        assert (await _ask(client, f"http://localtest.test:{listener.port}/")).text == "secret"
    assert listener.num_connections == 1


@pytest.mark.parametrize("url", URLS)
async def test_nothing_gets_through(url: str, client: httpx.AsyncClient, listener: Listener) -> None:
    text = url.format(port=listener.port)
    with pytest.raises(Refused):
        await _ask(client, text)
    assert listener.num_connections == 0


@pytest.mark.parametrize("url", URLS)
async def test_the_transport_alone_lets_nothing_through(
    url: str, client: httpx.AsyncClient, listener: Listener
) -> None:
    """Without our parser before it: whoever makes the URL, the transport checks it again."""
    with pytest.raises((Refused, httpx.InvalidURL, httpx.UnsupportedProtocol)):
        await client.get(url.format(port=listener.port))
    assert listener.num_connections == 0


async def test_ipv6_loopback_is_refused_too() -> None:
    with Listener("::1") as listener:
        async with _client(Guard(ports=frozenset({listener.port}))) as client:
            with pytest.raises(Refused):
                await _ask(client, f"http://[::1]:{listener.port}/")
        assert listener.num_connections == 0
        async with _client(Guard(exceptions=frozenset({("::1", listener.port)}))) as client:
            assert (await _ask(client, f"http://[::1]:{listener.port}/")).text == "secret"


async def test_a_name_that_answers_differently_the_second_time_is_asked_once_a_connection(listener: Listener) -> None:
    names = Names({"rebind.test": [["93.184.216.34"], ["127.0.0.1"]]})
    guard = Guard(names, ports=frozenset({listener.port}))
    checked = await guard.addresses("rebind.test", listener.port)
    assert (checked, names.asked) == (["93.184.216.34"], ["rebind.test"])
    async with _client(guard) as client:
        with pytest.raises(Refused):
            await _ask(client, f"http://rebind.test:{listener.port}/")
    assert listener.num_connections == 0


async def test_the_checked_address_is_the_one_connected_to(listener: Listener) -> None:
    with Listener("127.0.0.2") as other:
        names = Names({"rebind.test": [["127.0.0.1"], ["127.0.0.2"]]})
        allowed = frozenset({("127.0.0.1", listener.port), ("127.0.0.2", listener.port)})
        async with _client(Guard(names, allowed)) as client:
            assert (await _ask(client, f"http://rebind.test:{listener.port}/")).text == "secret"
        assert (listener.num_connections, other.num_connections, len(names.asked)) == (1, 0, 1)


async def test_an_exception_is_for_one_address_and_one_port_only(listener: Listener) -> None:
    with Listener() as neighbour, Listener("127.0.0.2") as beside:
        guard = Guard(Names(dict(NAMES)), frozenset({("127.0.0.1", listener.port), ("127.0.0.3", beside.port)}))
        async with _client(guard) as client:
            for url in (f"http://127.0.0.1:{neighbour.port}/", f"http://127.0.0.2:{beside.port}/"):
                with pytest.raises(Refused):
                    await _ask(client, url)
        assert neighbour.num_connections == beside.num_connections == 0


def test_an_address_of_our_own_is_known_though_it_be_global() -> None:
    assert is_own("127.0.0.1") and is_own("::1")
    assert not is_own("93.184.216.34")


async def test_a_url_of_the_configuration_gives_its_exceptions() -> None:
    names = Names({"searxng": [["172.18.0.5"]]})
    exceptions = await exceptions_for("http://searxng:8080/", names)
    assert exceptions == {("172.18.0.5", 8080)}
    assert await Guard(names, exceptions).addresses("searxng", 8080) == ["172.18.0.5"]
    with pytest.raises(Refused):
        await Guard(names, exceptions).addresses("searxng", 80)


@pytest.mark.parametrize("url", URLS)
def test_no_redirect_leads_where_a_url_may_not(url: str, listener: Listener) -> None:
    """A relative one stays with its own site; whatever else passes is asked through the same guard."""
    try:
        target = redirect_target(httpx.URL("http://start.test/page"), url.format(port=80))
    except Refused:
        return
    assert target.scheme in ("http", "https") and not target.userinfo
