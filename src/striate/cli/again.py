"""The command that is running, as it would be typed again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typer import Context


def command(context: Context, *, without: tuple[str, ...] = ("json",)) -> str:
    """The words of the running command: its arguments, and the options that were given.

    Arguments:
        context: of the command, as typer hands it over.
        without: names of options that only say how the answer is shown.
    """
    given = [one for one in context.command.params if was_typed(str(one.name), context) and one.name not in without]
    words = context.command_path.split()
    for one in sorted(given, key=lambda one: one.param_type_name == "option"):
        named = [max(one.opts, key=len)] if one.param_type_name == "option" else []
        words += [word for value in _values(context.params[str(one.name)]) for word in (*named, value)]
    return shlex.join(words)


def was_typed(name: str, context: Context) -> bool:
    """Whether an option was typed. Told by the source's name: its class is click's, or one of typer's own."""
    return getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"


def _values(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]
