"""Signals that wait until nothing is half done."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from striate.ranks import Ended, end
from striate.train.interrupts import deferred

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(autouse=True)
def _handlers() -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    """Those of a command under torchrun."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGTERM, end)
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Ended)])
def test_a_signal_takes_effect_when_the_outermost_is_left(number: int, raised: type[BaseException]) -> None:
    reached: list[str] = []
    with pytest.raises(raised):  # noqa: PT012 - where it is raised is the question
        with deferred() as told:
            with deferred() as inner:
                signal.raise_signal(number)
                signal.raise_signal(number)
                reached.append("inside")
            reached.append("between")
            assert inner is told
            assert told == [number, number]
        reached.append("after")
    assert reached == ["inside", "between"]


def test_after_a_fault_the_fault_is_told_and_the_handlers_are_back() -> None:
    with pytest.raises(ValueError, match="half done"), deferred():  # noqa: PT012 - the signal comes before the fault
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("half done")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is end


def test_the_handler_of_somebody_else_is_left_alone() -> None:
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    with deferred() as told:
        signal.raise_signal(signal.SIGTERM)
        assert (told, heard) == ([], [signal.SIGTERM])
