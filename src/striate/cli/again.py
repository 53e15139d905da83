"""The command that is running: as it would be typed again, and which of its options were typed."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

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


def unheeded(context: Context, heeded: Collection[str]) -> list[str]:
    """The arguments and options that were typed and are not among `heeded`, as they are spelled; arguments by metavar.

    Arguments:
        context: of the command, as typer hands it over.
        heeded: names of parameters.
    """
    typed = [one for one in context.command.params if one.name not in heeded and was_typed(str(one.name), context)]
    return [one.opts[0] if one.opts[0].startswith("-") else str(getattr(one, "metavar", one.name)) for one in typed]


def _values(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]
