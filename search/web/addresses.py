"""Which addresses are the open internet's. Pure.

`ipaddress.is_global` alone will not do: its tables differ between Python's patch releases, it takes multicast for
global, and it looks at an IPv6 address only, not at the IPv4 address that a gateway would unwrap from it.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# RFC 6890 and the registries it opened, as of 2025; and what the clouds put at addresses that look public.
_NOT_GLOBAL_4 = tuple(
    map(
        IPv4Network,
        """
        0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
        192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24
        203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
        168.63.129.16/32
        """.split(),
    )
)
# Everything else of IPv6 is unassigned, local, or another protocol in disguise (::ffff:0:0/96, 64:ff9b::/96).
_GLOBAL_6 = IPv6Network("2000::/3")
# Protocol assignments with Teredo, documentation, 6to4, AS112: inside that block and no host's own address.
_NOT_GLOBAL_6 = tuple(
    map(IPv6Network, "2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20 3ffe::/16".split())
)
# The last 64 bits of an ISATAP address: 0000:5efe or 0200:5efe, then an IPv4 address.
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})


def is_global(address: str) -> bool:
    """Whether the address, in its canonical text form, belongs to a host on the open internet."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in _NOT_GLOBAL_4)
    return _is_global_6(parsed)


def _is_global_6(address: IPv6Address) -> bool:
    if address.scope_id is not None or address not in _GLOBAL_6:
        return False
    if any(address in network for network in _NOT_GLOBAL_6):
        return False
    return (int(address) >> 32) & 0xFFFFFFFF not in _ISATAP
