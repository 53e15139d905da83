"""The arrays of an atlas on the disk: safetensors files that are filled piece by piece, larger than memory if need
be."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import DTypeLike, NDArray

TYPES = {"float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32", "uint8": "U8"}
"""NumPy's names of the types that are written, and safetensors' own."""

NAMES = {own: name for name, own in TYPES.items()}


@final
class ArrayFile:
    """A safetensors file whose arrays are memory-mapped, made anew with zeros or opened.

    The format: the length of the header (8 bytes, little-endian), the header (JSON: name -> type, shape, first and last
    byte), then the arrays.

    Arguments:
        path: of the file.
        arrays: name -> shape and type, of a new file; those of the file that is there by default.

    Raises:
        OSError: if there is no room for it on the disk; said at once, as writing into memory that the disk has no room
            for would end the process.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.safetensors"
        >>> with ArrayFile(path, {"x": ((2, 2), "float32")}) as arrays:
        ...     arrays["x"][1] = 3
        >>> from safetensors.numpy import load_file
        >>> load_file(path)["x"].tolist()
        [[0.0, 0.0], [3.0, 3.0]]
    """

    def __init__(self, path: Path, arrays: Mapping[str, tuple[tuple[int, ...], DTypeLike]] | None = None) -> None:
        if arrays is not None:
            _make(path, arrays)
        self._file = path.open("r+b", buffering=0)
        size = int.from_bytes(self._file.read(8), "little")
        header: dict[str, Any] = json.loads(self._file.read(size))
        self._arrays = {
            name: np.memmap(path, NAMES[said["dtype"]], "r+", 8 + size + said["data_offsets"][0], tuple(said["shape"]))
            for name, said in header.items()
            if np.prod(said["shape"])
        }

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def put(self, name: str, place: tuple[int, ...], values: NDArray[Any]) -> None:
        """Writes a part of an array: `self[name][place] = values`, without faulting its pages in one by one.

        Arguments:
            place: the first indices.
            values: of the rest of the shape.

        Example:
            >>> import tempfile
            >>> with ArrayFile(Path(tempfile.mkdtemp()) / "a", {"x": ((2, 3), "float32")}) as arrays:
            ...     arrays.put("x", (1,), np.ones(3))
            ...     arrays["x"].tolist()
            [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
        """
        array = self._arrays[name]
        if values.shape != array.shape[len(place) :]:
            raise ValueError(f"{name} holds {array.shape[len(place) :]} in a place, found {values.shape}")
        if not hasattr(os, "pwrite"):  # Windows
            array[place] = values
            return
        offset = array.offset + sum(k * stride for k, stride in zip(place, array.strides, strict=False))
        data = np.ascontiguousarray(values, array.dtype).data.cast("B")
        while data:
            written = os.pwrite(self._file.fileno(), data, offset)
            data, offset = data[written:], offset + written

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, *_: object) -> None:
        # Not flushed: the folder gets its name last, and forcing gigabytes to the disk takes longer than all else.
        self._arrays = {}
        self._file.close()


def _make(path: Path, arrays: Mapping[str, tuple[tuple[int, ...], DTypeLike]]) -> None:
    """Writes the header, and leaves room for the arrays."""
    header: dict[str, Any] = {}
    end = 0
    for name, (shape, dtype) in sorted(arrays.items(), key=lambda item: -np.dtype(item[1][1]).itemsize):
        start, end = end, end + int(np.prod(shape)) * np.dtype(dtype).itemsize
        header[name] = {"dtype": TYPES[np.dtype(dtype).name], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.flush()
        _reserve(file.fileno(), 8 + len(text) + end, path)


def _reserve(descriptor: int, size: int, path: Path) -> None:
    """Makes the file as long as it will be, with room on the disk for all of it where the system can promise that."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as fault:
            if fault.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                said = f"{fault.strerror}: the arrays of a layer take {size / 1e6:,.0f} MB"
                raise OSError(fault.errno, said, str(path)) from None
    os.truncate(descriptor, size)
