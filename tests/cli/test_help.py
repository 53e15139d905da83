"""What `--help` shows: paragraphs as wide as the terminal lets them be, and examples that can be typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from typer.main import get_command

from striate.cli.app import app

from .conftest import Command

COLUMNS = 80


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The words of every command, and the command."""
    for name, command in group.commands.items():
        yield (*words, name), command
        yield from commands(command, (*words, name)) if hasattr(command, "commands") else ()


ALL = dict(commands(get_command(app)))


def said(striate: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> list[str]:
    """The lines between the usage and the first panel."""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("TERMINAL_WIDTH", str(COLUMNS))
    lines = striate(*words, "--help").out.splitlines()
    panel = next(at for at, line in enumerate(lines) if line.startswith(("╭", "+")))
    usage = next(at for at, line in enumerate(lines) if "Usage:" in line)
    return [line.rstrip() for line in lines[usage + 1 : panel]]


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_paragraphs_fold_at_the_terminals_width_alone(
    words: tuple[str, ...], striate: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = said(striate, monkeypatch, words)
    for line, following in pairwise(lines):
        if line and following and not following.startswith(" $"):
            assert len(line) + 1 + len(following.split()[0]) >= COLUMNS - 1, f"{line!r} ends early"


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_examples_are_commands_that_can_be_typed(words: tuple[str, ...]) -> None:
    _, heading, examples = ALL[words].help.partition("Example")
    assert heading or words == ("demo",)
    for example in examples.splitlines()[1:]:
        assert "|" not in example
        prompt, program, *typed = shlex.split(example)
        assert (prompt, program) == ("$", "striate")
        named = max((known for known in ALL if tuple(typed[: len(known)]) == known), key=len)
        ALL[named].make_context(" ".join(named), typed[len(named) :])
