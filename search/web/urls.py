"""URLs, parsed once by the library that will connect: what is checked is what is asked for. Pure."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

import httpx

from search.web.refused import Refused

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_LENGTH = 4096  # longer ones are data, not addresses; browsers and servers stop at 8000
# After httpx has turned an international name into its ASCII form, a host is these characters or an IPv6 address.
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_LAST_LABEL_IS_A_NUMBER = re.compile(r"(?:^|\.)(?:\d+|0x[0-9a-f]*)\.?$")
# httpx forgets an empty name before the "@".
_CREDENTIALS = re.compile(r"[a-z]+:/*[^/?#]*@", re.IGNORECASE)
# Programs differ on these: a backslash is a slash to browsers, a space or a control ends the URL, or does not.
_AMBIGUOUS = re.compile(r"[\s\\\x00-\x20\x7f]")


def parse_url(text: str) -> httpx.URL:
    """The URL without its fragment. Raises Refused for what is none, or may be read in two ways."""
    text = text.strip()
    if len(text) > MAX_LENGTH or _AMBIGUOUS.search(text):
        raise Refused("url")
    if _CREDENTIALS.match(text):
        raise Refused("credentials")
    try:
        url = httpx.URL(text)
        check_url(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise Refused("url") from error
    return url.copy_with(fragment=None)


def redirect_target(url: httpx.URL, location: str) -> httpx.URL:
    """Where a redirect of `url` leads. Raises Refused."""
    if len(location) > MAX_LENGTH or _AMBIGUOUS.search(location.strip()):
        raise Refused("url")
    try:
        joined = str(url.join(location.strip()))
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise Refused("url") from error
    return parse_url(joined)


def check_url(url: httpx.URL) -> None:
    """Raises Refused. The transport asks this again before every request, whoever made the URL."""
    if url.scheme not in DEFAULT_PORTS:
        raise Refused("scheme")
    if url.userinfo:
        raise Refused("credentials")
    if url.port is not None and not 1 <= url.port <= 65535:
        raise Refused("port")  # libraries take 0 for "none given"
    check_host(url.raw_host.decode("ascii"))


def check_host(host: str) -> None:
    """A name, a plain IPv4 address or an IPv6 address; 0x7f.1, 2130706433 and 127.1 are none of these."""
    if ":" in host:
        _check_ipv6(host)
    elif len(host) > 253 or not _NAME.fullmatch(host):
        raise Refused("url")
    elif _LAST_LABEL_IS_A_NUMBER.search(host):
        _check_ipv4(host)


def port_of(url: httpx.URL) -> int:
    return url.port or DEFAULT_PORTS[url.scheme]


def _check_ipv6(host: str) -> None:
    try:
        IPv6Address(host)
    except AddressValueError as error:
        raise Refused("url") from error
    if "%" in host:
        raise Refused("url")  # a zone names one of our own interfaces


def _check_ipv4(host: str) -> None:
    try:
        IPv4Address(host)
    except AddressValueError as error:
        raise Refused("url") from error
