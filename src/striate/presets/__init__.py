"""The networks that come with the package, each a text file here in the form that `striate.notation` reads.

The comment at the top of a file says where the network was published and where ours differs. None ends in `softmax`,
because the cross-entropy loss applies it (and is exact where softmax would have rounded to 0). To add one, add a file.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from striate.errors import NetworkError
from striate.notation import nearest, shown


@cache
def names() -> tuple[str, ...]:
    """The names, in alphabetical order."""
    files = resources.files(__name__).iterdir()
    return tuple(sorted(file.name.removesuffix(".txt") for file in files if file.name.endswith(".txt")))


def text(name: str) -> str:
    """The text of a preset, with its comments. Raises NetworkError that lists the names.

    Example:
        >>> text("convolution-demo").splitlines()[-2:]
        ['input 3x5x5', 'conv 2 3x3 stride=2 pad=1']
    """
    if name not in names():
        near = nearest(name, names())
        hint = f" (did you mean {near}?)" if near else ""
        allowed = ", ".join(names())
        raise NetworkError(
            f"there is no preset {shown(name)}{hint}; presets: {allowed}", found=shown(name), allowed=allowed
        )
    return resources.files(__name__).joinpath(f"{name}.txt").read_text(encoding="utf-8")
