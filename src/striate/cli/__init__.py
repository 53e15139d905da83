"""The command `striate`: one file per command, thin: parse, call, print.

`main` is the only way in and the only place where a fault becomes a sentence and an exit code: 2 for input that
cannot be used, 1 for work that could not be finished. Heavy packages are imported inside the commands, so that
`striate --help` answers at once.
"""

from __future__ import annotations

import io
import sys
from typing import Any

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Runs one command, the words after `striate` (the shell's by default); returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name of any bytes, a terminal of any encoding
    try:
        return _run([word for word in words if word != "--debug"])
    except Exception as fault:
        if debug:
            raise
        from striate.cli.console import note

        message, code = _sentence(fault)
        if message:
            note(f"error: {message}")
        return code


def _run(words: list[str]) -> int:
    from striate.cli.app import app

    code = app(args=words, prog_name="striate", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _sentence(fault: Exception) -> tuple[str, int]:
    """What to tell the user about a fault, and the exit code."""
    from striate.errors import Failure, UserError

    if isinstance(fault, UserError):
        return str(fault), 2
    if hasattr(fault, "format_message"):  # typer's class for wrong words has moved from version to version
        return _usage(fault), 2
    if isinstance(fault, Failure):
        return str(fault), 1
    if isinstance(fault, OSError) and fault.strerror:
        place = f"{fault.filename}: " if fault.filename else ""
        return f"{place}{fault.strerror}", 1
    return (
        f"a fault of Striate's own ({type(fault).__name__}: {fault}); the same command with --debug shows where",
        1,
    )


def _usage(fault: Any) -> str:
    """Words that no command takes, as one sentence; "" where there were none at all and the help has been shown."""
    said = str(fault.format_message()).replace("Value error, ", "").rstrip(".?")
    context = getattr(fault, "ctx", None)
    command = context.command_path if context is not None else "striate"
    return f"{said[:1].lower()}{said[1:]}; see {command} --help" if said else ""
