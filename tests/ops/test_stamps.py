"""A step of set-up is done once, again when its inputs change, and again after it failed."""

from pathlib import Path

import pytest

from ops.stamps import digest, once


class Step:
    """Makes its product and counts how often."""

    def __init__(self, folder: Path) -> None:
        self.stamp, self.source, self.product = folder / "stamps" / "step", folder / "lock", folder / "product"
        self.source.write_text("one")
        self.num_done = 0

    def do(self) -> None:
        self.num_done += 1
        self.product.touch()

    def once(self) -> int:
        once(self.stamp, [self.source, "3.11"], self.do, [self.product])
        return self.num_done


def test_step_is_done_once(tmp_path: Path) -> None:
    step = Step(tmp_path)
    assert (step.once(), step.once()) == (1, 1)


def test_changed_input_does_it_again(tmp_path: Path) -> None:
    step = Step(tmp_path)
    step.once()
    step.source.write_text("two")
    assert (step.once(), step.once()) == (2, 2)


def test_missing_product_does_it_again(tmp_path: Path) -> None:
    step = Step(tmp_path)
    step.once()
    step.product.unlink()
    assert step.once() == 2


def test_step_that_failed_is_tried_again_even_with_the_inputs_of_before(tmp_path: Path) -> None:
    step = Step(tmp_path)
    step.once()
    step.source.write_text("two")
    with pytest.raises(OSError):
        once(step.stamp, [step.source, "3.11"], no_network, [step.product])
    step.source.write_text("one")
    assert step.once() == 2


def test_missing_file_and_empty_file_are_different_inputs(tmp_path: Path) -> None:
    missing = digest([tmp_path / "lock"])
    (tmp_path / "lock").touch()
    assert digest([tmp_path / "lock"]) != missing


def no_network() -> None:
    raise OSError("no network")
