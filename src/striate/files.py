"""Writing files so that a reader, or a process killed at any instant, sees the old content or the new, never a part;
and paths as users write them.

Knows nothing of what it writes. Reading needs no help and has none here.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from io import FileIO


def expanded(path: str | Path) -> Path:
    """The path with the user's home for `~`, and `~name` for that user's; as it stands where there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's own raises a RuntimeError for an unknown user


@contextlib.contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Gives a temporary path beside `path`; on leaving without an exception it becomes `path`, in one step.

    The file is flushed to the disk before it is renamed, and the folder after, so that the name never points at a
    file whose bytes are still on their way. On an exception the temporary file is removed and `path` is untouched.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "note.txt"
        >>> with replacing(target) as draft:
        ...     _ = draft.write_text("done")
        >>> target.read_text()
        'done'
    """
    draft: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        draft = Path(name)
        yield draft
        _flush(draft)
        draft.chmod(0o666 & ~umask())
        draft.replace(path)
        _flush(path.parent)
    except OSError as fault:
        raise _of(path, draft, fault) from None
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes `text` (UTF-8) to `path` atomically."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Writes `content` to `path` atomically."""
    with replacing(path) as draft:
        draft.write_bytes(content)


def write_json(path: Path, value: object, *, indent: int | None = 2) -> None:
    """Writes `value` as JSON to `path` atomically; NaN and infinities are refused, as JSON has none.

    A path with bytes that are not UTF-8 comes back as it was: JSON's own escapes hold it.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(value, indent=indent, allow_nan=False)
    write_text(path, text + "\n")


def sweep(folder: Path, name: str = "*") -> None:
    """Removes the drafts of files `name` in `folder` that killed processes left; nobody may be writing there.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / ".note.txt.k2x_9ab1.part").write_text("ha")
        >>> sweep(folder, "note.txt")
        >>> list(folder.iterdir())
        []
    """
    for draft in folder.glob(f".{name}.*.part"):
        draft.unlink(missing_ok=True)


def locked(file: FileIO) -> bool:
    """Whether an open file is this holder's alone from now on until it is closed, or its process ends in any way.

    Where files cannot be locked (Windows, some network drives) it is taken to be.
    """
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def umask() -> int:
    """The permissions that this process leaves out of what it makes."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _of(path: Path, draft: Path | None, fault: OSError) -> OSError:
    """The fault of writing `path`, under that name: nobody knows the draft's, and a full disk comes without a name."""
    if fault.errno is None or (draft is not None and fault.filename not in (None, str(draft))):
        return fault
    return OSError(fault.errno, fault.strerror, str(path))


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
