"""Writes the pages of docs/ that are made from the program itself: `make docs`. A test holds the pages to it."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from striate import files
from striate.layers import Layer, kinds, layer
from striate.layers.layer import text_fields

DOCS = Path(__file__).parent

SHOWN = re.compile(r"(```console\n([^`]*)```\n\n```text\n)[^`]*(?=```)")
"""A block of commands, followed by what the last of them prints."""


def commands_page() -> str:
    """docs/commands.md: what every command says of itself."""
    pages = ["# Commands", "Made by `make docs` from what each command says of itself.", _section("striate")]
    pages += [_section(f"striate {name}") for name in _names()]
    return "\n\n".join(pages) + "\n"


def _section(command: str) -> str:
    return f"## {command}\n\n```text\n{_help(command)}\n```"


def layers_page() -> str:
    """docs/layers.md: what every kind of layer says of itself, in the order of the files that they live in."""
    files_of_kinds = {kind.__module__: sys.modules[kind.__module__] for kind in kinds().values()}
    opening = "Made by `make docs` from what each kind of layer says of itself: equation, text form, bounds."
    legend = (inspect.getdoc(layer) or "").rpartition("\n\n")[2]
    sections = [_layers_of(files_of_kinds[name]) for name in sorted(files_of_kinds)]
    return "\n\n".join(["# Layers", opening, legend, *sections]) + "\n"


def _layers_of(module: ModuleType) -> str:
    own = [kind for kind in kinds().values() if kind.__module__ == module.__name__]
    words = ", ".join(kind.word for kind in own)
    return f"## {words}\n\n```text\n{inspect.getdoc(module)}\n```\n\n" + "\n".join(map(_kind, own))


def _kind(kind: type[Layer]) -> str:
    """What it is, in its docstring's first paragraph, and what may stand in its text form."""
    what = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
    bounds = [f"\n  - `{name}` is {value.allowed}" for name, value in text_fields(kind).items()]
    return f"- {what}{''.join(bounds)}"


def lecture_page() -> str:
    """docs/lecture.md, written by hand, with what its commands print made anew wherever it is shown."""
    page = (DOCS / "lecture.md").read_text(encoding="utf-8")
    return SHOWN.sub(lambda block: f"{block[1]}{_printed(_last(block[2]))}\n", page)


def _last(commands: str) -> str:
    return commands.strip().splitlines()[-1].removeprefix("$ ")


def _help(command: str) -> str:
    return _printed(f"{command} --help")


def _printed(command: str) -> str:
    # A fixed width and no colour, so that the page is the same wherever it is made.
    setting = os.environ | {"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb"}
    words = [sys.executable, "-m", *shlex.split(command)]
    shown = subprocess.run(words, capture_output=True, text=True, check=True, env=setting).stdout
    return "\n".join(line.rstrip() for line in shown.strip("\n").splitlines())


def _names() -> list[str]:
    from typer.main import get_command

    from striate.cli.app import app

    names: list[str] = []
    for name, command in get_command(app).commands.items():  # pyright: ignore[reportAttributeAccessIssue]
        names += [name, *(f"{name} {inner}" for inner in getattr(command, "commands", {}))]
    return names


if __name__ == "__main__":
    from lecture import catalogue
    from lecture.studies import Study

    files.write_text(DOCS / "commands.md", commands_page())
    files.write_text(DOCS / "layers.md", layers_page())
    files.write_text(DOCS / "lecture.md", lecture_page())
    with tempfile.TemporaryDirectory() as place:
        catalogue.draw(DOCS / "lecture", Study.made(Path(place)))
