"""Downloading files of known checksum: mirrors one after another, nothing half done, progress told."""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING, final

from striate.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from striate.data.workers import Progress

_PATIENCE = 30
"""Seconds without a byte after which a mirror is given up."""


def downloaded(name: str, sha256: str, mirrors: Sequence[str], folder: Path, progress: Progress) -> Path:
    """The file `name` in `folder`, downloaded from the first mirror that gives the right content.

    The file appears under its name only when it is whole and its checksum is right; a download that is interrupted
    leaves nothing.

    Raises:
        Failure: no mirror had it, and what went wrong with each; or the folder cannot be written.
    """
    import pooch

    logger = pooch.get_logger()
    level, faults = logger.level, list[str]()
    logger.setLevel(logging.ERROR)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        for mirror in mirrors:
            bar = _Bar(f"downloading {name}", progress)
            loader = pooch.HTTPDownloader(progressbar=bar, timeout=_PATIENCE)  # pyright: ignore[reportArgumentType]
            try:
                pooch.retrieve(mirror + name, f"sha256:{sha256}", fname=name, path=folder, downloader=loader)  # pyright: ignore[reportArgumentType]
            except (OSError, ValueError) as fault:  # requests' faults are OSErrors; a wrong checksum is a ValueError
                faults.append(f"{mirror}: {_reason(fault)}")
            else:
                return folder / name
    except OSError as fault:
        raise Failure(f"{folder} cannot be written: {fault.strerror or fault}") from None
    finally:
        logger.setLevel(level)
    raise Failure(
        f"{name} could not be downloaded ({'; '.join(faults)}); where there is no network, put it into {folder}"
    )


def _reason(fault: Exception) -> str:
    if isinstance(fault, ValueError) and "hash" in str(fault).lower():
        return "what it sent is not the published file (its checksum is another)"
    kind = type(fault).__name__
    status = getattr(getattr(fault, "response", None), "status_code", None)
    if status:
        return f"it answered {status}"
    return {"ConnectionError": "no connection", "ConnectTimeout": "no answer", "ReadTimeout": "it fell silent"}.get(
        kind, kind
    )


@final
class _Bar:
    """What pooch takes for a progress bar: it sets `total` and calls these."""

    def __init__(self, what: str, progress: Progress) -> None:
        self.total = 0
        self._what, self._progress, self._done = what, progress, 0

    def update(self, count: int) -> None:
        """`count` more bytes have come."""
        self._done += count
        self._progress(self._what, self._done, int(self.total))

    def reset(self) -> None:
        """Called at the end, before a last update with everything: so that that one is not counted twice."""
        self._done = 0

    def close(self) -> None:
        """Nothing is held open."""
