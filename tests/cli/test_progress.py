"""What is said of work that takes long where no terminal shows a bar; and of arithmetic that the processor lacks."""

from __future__ import annotations

import pytest
import torch

from striate.cli.arithmetic import WITHOUT_AVX512, note_emulation, note_full_scale
from striate.cli.source import LINE_SECONDS, Bar
from striate.train import engine


class Clock:
    """A clock that a test moves on."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_a_minute_says_how_far_and_how_long_still(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Bar(clock) as bar:
        for done in range(11):
            clock.now = 40.0 * done
            bar("tuning", done, 10)
    lines = capsys.readouterr().err.splitlines()
    # After 80 s 2 of 10 are done, so 8 more take 320 s; the last is followed by what was found.
    assert lines[0] == "tuning: 2 of 10, about 5 min 20 s left"
    assert [line.split(" of ")[0] for line in lines] == [f"tuning: {done}" for done in (2, 4, 6, 8)]


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Bar(clock) as bar:
        for done in range(11):
            clock.now = (LINE_SECONDS - 1) / 10 * done
            bar("reading", done, None)
    assert not capsys.readouterr().err


def test_what_was_kept_from_before_is_not_counted_as_fast(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Bar(clock) as bar:
        bar("trainings", 90, 100)
        clock.now = 100.0
        bar("trainings", 91, 100)
    assert capsys.readouterr().err == "trainings: 91 of 100, about 15 min 0 s left\n"


def test_the_next_work_of_the_same_name_is_timed_from_its_own_begin(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Bar(clock) as bar:
        for moment, done in ((0, 0), (50, 5), (1000, 0), (1070, 1)):
            clock.now = float(moment)
            bar("trainings", done, 5)
    assert capsys.readouterr().err.splitlines()[-1] == "trainings: 1 of 5, about 4 min 40 s left"


def test_where_nobody_knows_of_how_many_the_number_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Bar(clock) as bar:
        bar("reading", 0, None)
        clock.now = 61.0
        bar("reading", 12, None)
    assert capsys.readouterr().err == "reading: 12\n"


def test_bfloat16_without_instructions_for_it_is_said_before_the_hours_are_spent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine, "_cpu_flags", lambda: frozenset({"avx512_bf16"}))
    assert not note_emulation(["float32", "bfloat16"])
    assert not capsys.readouterr().err
    monkeypatch.setattr(engine, "_cpu_flags", lambda: frozenset({"avx2"}))
    monkeypatch.setattr(engine, "_best_device", lambda: ("cpu", "no GPU here"))
    assert note_emulation(["float32", "bfloat16"])
    assert "no bfloat16 instructions" in capsys.readouterr().err
    assert not note_emulation(["float32", "auto"])


@pytest.mark.parametrize(("hours", "lines"), [(0.0, 0), (0.3, 1), (2.0, 2)])
def test_of_a_short_full_scale_only_the_arithmetic_is_told(
    hours: float, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine, "_cpu_flags", lambda: frozenset({"avx2"}))
    monkeypatch.setattr(engine, "_best_device", lambda: ("cpu", "no GPU here"))
    note_full_scale(hours, 2, "bfloat16")
    told = capsys.readouterr().err.splitlines()
    assert len(told) == lines
    assert ["core hours in float32" in line for line in told] == [False, True][:lines]


@pytest.mark.parametrize(("capability", "hours"), [("AVX512", 10.0), ("AVX2", 10.0 * WITHOUT_AVX512)])
def test_the_full_scale_is_told_for_this_kind_of_cpu(
    capability: str, hours: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(engine, "_cpu_flags", lambda: frozenset({"avx2"}))
    note_full_scale(10.0, 2, "float32")
    (line,) = capsys.readouterr().err.splitlines()
    assert f"about {hours:.2g} core hours on a CPU with{'out' * (capability == 'AVX2')} AVX-512" in line
    assert f"so {hours / 2:.1f} hours of 2 at once" in line
