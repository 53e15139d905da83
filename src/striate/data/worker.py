"""The process that looks at image files and decodes them: one JSON request a line in, one JSON answer a line out.

Run as `python -m striate.data.worker` by `workers.py`. Python's own process pools run the caller's script a
second time, which a user's script without a `__main__` guard does not survive; this does not.
"""

from __future__ import annotations

import functools
import json
import sys
import warnings
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from striate.data.pixels import Fault, Fit, UnreadableError, pixels, seen

if TYPE_CHECKING:
    from jaxtyping import UInt8


ANSWER = "striate: "
"""How a line with an answer begins; what else is printed here, by a decoder or as Python starts, is none."""


class Job(TypedDict):
    """A request: look at the headers of `paths`, or, where an `array` is named, decode them into its rows."""

    paths: list[str]
    rows: list[int]
    array: str | None
    fit: Fit


def done(job: Job) -> list[object]:
    """The answer to one request: `Seen` for every path; or the `Fault` of decoding each, None where there was none."""
    if job["array"] is None:
        return [tuple(seen(path)) for path in job["paths"]]
    images = _opened(job["array"])
    return [_decoded(path, images[row], job["fit"]) for path, row in zip(job["paths"], job["rows"], strict=True)]


def main() -> None:
    """Answers requests until there are no more."""
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        print(f"{ANSWER}{json.dumps(done(json.loads(line)))}", flush=True)


def _decoded(path: str, row: UInt8[np.ndarray, "c h w"], fit: Fit) -> Fault | None:
    try:
        row[...] = pixels(path, row.shape, fit)
    except UnreadableError as unreadable:
        return unreadable.fault
    return None


@functools.lru_cache(maxsize=1)
def _opened(path: str) -> UInt8[np.ndarray, "n c h w"]:
    return np.lib.format.open_memmap(path, mode="r+")


if __name__ == "__main__":
    main()
