"""The locks: hashed, complete, naming no index, no path and no torch."""

import re

import pytest

from ops.data import ROOT
from ops.lock import forbidden

NAMES = ("web", "inference", "dev", "node")
PIN = re.compile(r"^([a-z0-9][a-z0-9-]*)==(\S+)", re.MULTILINE)


def lock_text(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")


def pins(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for package, version in PIN.findall(lock_text(name)):
        found.setdefault(package, set()).add(version)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_line_is_a_pin_or_a_hash(name: str) -> None:
    lines = [line for line in lock_text(name).splitlines() if not line.startswith("#")]
    unexpected = [
        x for x in lines if not re.match(r"[a-z0-9-]+==\S+( ; .+)? \\$|    --hash=sha256:[0-9a-f]{64}( \\)?$", x)
    ]
    assert unexpected == []
    # A pin without a hash would be followed by the next pin.
    assert all(not (PIN.match(one) and PIN.match(two)) for one, two in zip(lines, [*lines[1:], "end=="], strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_locks_name_no_index_and_no_path(name: str) -> None:
    assert not re.search(
        r"://|--index|--extra-index|--find-links|file:|^\s*/|/(home|work|opt|tmp|root)/", lock_text(name)
    )


@pytest.mark.parametrize("name", NAMES)
def test_nothing_locked_pulls_torch(name: str) -> None:
    assert forbidden(name, lock_text(name)) == []


@pytest.mark.parametrize("name", ("web", "inference"))
def test_dev_holds_the_same_versions(name: str) -> None:
    dev = pins("dev")
    assert {package: dev.get(package) for package in pins(name)} == pins(name)


def test_every_requirement_of_pyproject_is_locked() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra in ("web", "inference", "dev"):
        # An extra that names others of ours holds what they hold.
        lines = [line for line in extras[extra] if not line.startswith("sonde[")]
        for named in re.findall(r"sonde\[(.*?)\]", " ".join(extras[extra])):
            lines += [line for other in named.split(",") for line in extras[other] if not line.startswith("sonde[")]
        wanted = {re.split(r"[\[<>=~; ]", line)[0].lower() for line in lines}
        assert wanted <= pins(extra).keys(), f"make locks: {sorted(wanted - pins(extra).keys())} of {extra} are missing"
