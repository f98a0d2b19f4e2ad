"""Addresses: the open internet's, and all the others."""

import pytest

from search.web.addresses import is_global


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.32.0.1", "192.0.1.1", "223.255.255.1"]
    + ["2606:4700:4700::1111", "2a00:1450:4001:830::200e", "2001:4860:4860::8888", "2400:cb00:2048:1::c629:d7a2"],
)
def test_hosts_of_the_open_internet_are_global(address: str) -> None:
    assert is_global(address)


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254"]
    + ["172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "100.100.100.200", "100.127.255.255"]
    + ["192.0.0.192", "192.0.2.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.7", "192.88.99.1"]
    + ["224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16"],
)
def test_no_other_ipv4_address_is(address: str) -> None:
    assert not is_global(address)


@pytest.mark.parametrize(
    "address",
    ["::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1"]
    + ["64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1"]
    + ["2001::1", "2001:0:53aa:64c:0:0:80ff:fffe", "2001:db8::1", "3fff::1", "100::1", "fe80::1", "fe80::1%eth0"]
    + ["fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "ff0e::1", "5f00::1", "4000::1"]
    + ["2606:4700::5efe:7f00:1", "2606:4700::200:5efe:a00:1"],
)
def test_no_other_ipv6_address_is(address: str) -> None:
    assert not is_global(address)


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "0x7f000001", "2130706433", "1.1.1.1 ", "1.1.1.1/32"])
def test_what_is_no_address_is_not_global(text: str) -> None:
    assert not is_global(text)
