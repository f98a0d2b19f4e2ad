"""The guard between a URL and a socket: which addresses may be connected to for a host and port.

There is no other way from a name to an address here: the transport connects to what `addresses` returned, so a name
that answers differently the second time is never asked a second time.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address, ip_address

from search.web.addresses import is_global
from search.web.refused import Refused
from search.web.urls import check_host, parse_url, port_of

PORTS = frozenset({80, 443, 8080, 8443})  # where websites are; 22, 25 or 6379 are other services
MAX_ADDRESSES = 4  # tried for one name

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

# Threads of their own: a name server that does not answer holds one for half a minute.
_threads = ThreadPoolExecutor(16, "resolver")


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """The addresses the operating system knows for a name. Raises OSError."""
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_threads, ask)
    return [str(sockaddr[0]) for *_, sockaddr in found]


@dataclass(frozen=True, slots=True)
class Guard:
    """`exceptions` are exact (address, port) pairs that may be asked though they are not of the open internet.

    Give them to the client that asks the team's own search engine, never to the one that reads pages: a page could
    redirect there.
    """

    resolver: Resolver = system_resolver
    exceptions: frozenset[tuple[str, int]] = frozenset()
    ports: frozenset[int] = PORTS

    async def addresses(self, host: str, port: int) -> list[str]:
        """Where to connect to, IPv4 first. Raises Refused if any address of the name is not allowed."""
        check_host(host)
        if port not in self.ports and port not in {excepted for _, excepted in self.exceptions}:
            raise Refused("port")
        found = await self._resolve(host, port)
        for address in found:
            if (address, port) not in self.exceptions:
                self._check(address, port)
        return sorted(found, key=lambda address: ":" in address)[:MAX_ADDRESSES]

    def _check(self, address: str, port: int) -> None:
        if port not in self.ports:
            raise Refused("port")
        if not is_global(address) or is_own(address):
            raise Refused("address")

    async def _resolve(self, host: str, port: int) -> list[str]:
        try:
            return [str(ip_address(host))]
        except ValueError:
            pass
        try:
            found = await self.resolver(host, port)
        except (OSError, UnicodeError) as error:
            raise Refused("unresolved") from error
        if not found:
            raise Refused("unresolved")
        return [_canonical(address) for address in dict.fromkeys(found)]


async def exceptions_for(url: str, resolver: Resolver = system_resolver) -> frozenset[tuple[str, int]]:
    """The exceptions that let a URL of the configuration be asked, wherever it is. Raises Refused."""
    parsed = parse_url(url)
    port = port_of(parsed)
    guard = Guard(resolver)
    found = await guard._resolve(parsed.raw_host.decode("ascii"), port)
    return frozenset((address, port) for address in found)


def _canonical(address: str) -> str:
    """A resolver may answer with a zone or in a long form; what is no address at all is refused."""
    try:
        return str(ip_address(address))
    except ValueError as error:
        raise Refused("address") from error


def is_own(address: str) -> bool:
    """Whether one of this machine's interfaces has the address: a global one leads back to local services too.

    Connecting a datagram socket sends nothing; it asks the routing table which address we would speak from.
    """
    family = socket.AF_INET6 if isinstance(ip_address(address), IPv6Address) else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            return str(probe.getsockname()[0]) == address
    except OSError:
        return False  # no route, or no such family: connecting will fail as well
