"""A folder that is filled beside its place and takes it when it is complete; what killed processes left is removed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path


@contextlib.contextmanager
def drafted(out: Path) -> Generator[Path]:
    """A hidden folder beside `out` to fill; it takes the place of `out` when all has gone well, else it is removed.

    Of a process that was killed such a folder stays behind; it is removed by the next one that begins at the same
    place. Whether its maker still lives is told by a lock that the system lets go of when a process ends, whatever its
    end; so a folder that another process is filling at this moment is left alone. Where folders cannot be locked
    (Windows, some network drives) nothing is removed.

    Example:
        >>> out = Path(tempfile.mkdtemp()) / "plates"
        >>> with drafted(out) as draft:
        ...     _ = (draft / "note.txt").write_text("done")
        >>> [path.name for path in out.parent.iterdir()], [path.name for path in out.iterdir()]
        (['plates'], ['note.txt'])
    """
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    _sweep(out)
    draft, lock = _begun(out)
    try:
        draft.chmod(0o755)
        yield draft
        _placed(draft, out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _begun(out: Path) -> tuple[Path, int | None]:
    """A new folder beside `out`, and the lock on it."""
    while True:
        draft = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".part"))
        lock = _locked(draft, wait=True)
        if draft.exists():
            return draft, lock
        # Before it was locked, another process took it for one that was left behind.
        if lock is not None:
            os.close(lock)


def _placed(draft: Path, out: Path) -> None:
    """Puts the folder in its place. What was there goes aside first, as a folder cannot replace one in one step."""
    aside = draft.with_name(f"{draft.name.removesuffix('.part')}.old.part")
    with contextlib.suppress(FileNotFoundError):
        out.rename(aside)
    draft.rename(out)
    shutil.rmtree(aside, ignore_errors=True)


def _sweep(out: Path) -> None:
    """Removes the folders that processes which no longer live began for this place.

    What stood there and was put aside comes back where a process was killed before it had put the new one in its place.
    """
    named = re.compile(rf"\.{re.escape(out.name)}\.[a-z0-9_]{{8}}(\.old)?\.part")  # as `mkdtemp` makes them
    for path in list(out.parent.iterdir()):
        if not named.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
            continue
        lock = _locked(path, wait=False)
        if lock is not None:
            if path.name.endswith(".old.part") and not out.exists():
                path.rename(out)
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path, *, wait: bool) -> int | None:
    """The descriptor that holds the lock on a folder; None where another process has it, or there are no locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(handle)
        return None
    return handle
