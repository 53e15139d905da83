"""Published data sets: found in the data folder, or downloaded from a server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate import data
from striate.data import catalogue, loading
from striate.data.catalogue import File
from striate.data.download import downloaded
from striate.data.workers import silent
from striate.errors import DataError, Failure

from .folders import never
from .test_arrays import idx_bytes

RNG = np.random.default_rng(13)
NAMES = [file.name for file in catalogue.MNIST.files]


def mnist_like() -> dict[str, bytes]:
    sizes = (60, 60, 20, 20)
    images = [RNG.integers(0, 256, (n, 28, 28), np.uint8) for n in sizes[::2]]
    labels = [(np.arange(n) % 10).astype(np.uint8) for n in sizes[1::2]]
    raws = [images[0], labels[0], images[1], labels[1]]
    return {name: gzip.compress(idx_bytes(raw)) for name, raw in zip(NAMES, raws, strict=True)}


def known(files: dict[str, bytes], mirrors: tuple[str, ...] = ()) -> catalogue.Published:
    sums = tuple(File(name, hashlib.sha256(raw).hexdigest()) for name, raw in files.items())
    return replace(catalogue.MNIST, files=sums, mirrors=mirrors)


class Handler(http.server.BaseHTTPRequestHandler):
    files: dict[str, bytes]
    cut: bool = False

    def do_GET(self) -> None:
        raw = self.files.get(self.path.lstrip("/"))
        if raw is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw[: len(raw) // 2] if self.cut else raw)

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@pytest.fixture
def served() -> Iterator[Any]:
    servers: list[http.server.ThreadingHTTPServer] = []

    def serve(files: dict[str, bytes], *, cut: bool = False) -> str:
        handler = type("Serving", (Handler,), {"files": files, "cut": cut})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_mirrors_are_tried_in_turn_and_progress_is_told(
    tmp_path: Path, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = mnist_like()
    wrong = dict.fromkeys(files, b"something else")
    mirrors = ("http://127.0.0.1:9/", served({}), served(wrong), served(files, cut=True), served(files))
    monkeypatch.setattr(catalogue, "ALL", (known(files, mirrors),))
    told: list[tuple[object, ...]] = []

    def tell(*what: object) -> None:
        told.append(what)

    found = data.load("mnist", cache=tmp_path, progress=tell)
    assert [len(found.train), len(found.validation), len(found.test)] == [50, 10, 20]
    assert ("downloading " + NAMES[0], len(files[NAMES[0]]), len(files[NAMES[0]])) in told
    monkeypatch.setattr(loading, "downloaded", never)
    again = data.load("mnist", cache=tmp_path)
    assert again.fingerprint == found.fingerprint
    assert again.findings.notes == ()


def test_when_no_mirror_has_it_each_reason_is_told_and_nothing_is_left(tmp_path: Path, served: Any) -> None:
    mirrors = ("http://127.0.0.1:9/", served({}), served({"a.gz": b"wrong"}), served({"a.gz": b"right"}, cut=True))
    with pytest.raises(Failure, match=r"no connection.*answered 404.*checksum is another.*put it into .*in"):
        downloaded("a.gz", hashlib.sha256(b"right").hexdigest(), mirrors, tmp_path / "in", silent)
    assert list((tmp_path / "in").iterdir()) == []


def test_an_interrupted_download_leaves_nothing(tmp_path: Path, served: Any) -> None:
    raw = RNG.bytes(200_000)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        downloaded("a.gz", hashlib.sha256(raw).hexdigest(), (served({"a.gz": raw}),), tmp_path, stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("argument", [True, False])
def test_downloads_go_into_the_data_folder_that_is_named(
    tmp_path: Path, served: Any, monkeypatch: pytest.MonkeyPatch, exists: bool, argument: bool
) -> None:
    files = mnist_like()
    monkeypatch.setattr(catalogue, "ALL", (known(files, (served(files),)),))
    root = tmp_path / "new" / "root"
    if exists:
        root.mkdir(parents=True)
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "other" if argument else root))
    data.load("mnist", root=root if argument else None, cache=tmp_path / "cache")
    assert sorted(path.name for path in (root / "mnist").iterdir()) == sorted(NAMES)
    assert not (tmp_path / "cache" / "downloads").exists()


def test_whether_a_download_is_needed_is_known_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("STRIATE_DATA", raising=False)
    (tmp_path / "root").mkdir()
    for name, raw in mnist_like().items():
        (tmp_path / "root" / name).write_bytes(raw)
    assert loading.needs_download("mnist")
    assert not loading.needs_download("mnist", tmp_path / "root")
    assert loading.needs_download("cifar10", tmp_path / "root")
    assert not loading.needs_download("digits")
    assert not loading.needs_download("some/folder")


def test_a_data_folder_that_cannot_be_written_is_a_failure_where_it_was_asked_for_and_only_looked_into_where_not(
    tmp_path: Path, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = mnist_like()
    monkeypatch.setattr(catalogue, "ALL", (known(files, (served(files),)),))
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setattr("os.access", lambda path, _: not Path(path).is_relative_to(root))  # pyright: ignore[reportUnknownLambdaType]
    with pytest.raises(Failure, match=r"root/mnist cannot be written: Permission denied"):
        data.load("mnist", root=root, cache=tmp_path / "cache")
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match=r"file/mnist cannot be written: Not a directory"):
        data.load("mnist", root=tmp_path / "file", cache=tmp_path / "cache")
    monkeypatch.setenv("STRIATE_DATA", str(root))
    data.load("mnist", cache=tmp_path / "cache")
    assert (tmp_path / "cache" / "downloads" / "mnist").is_dir()


@pytest.mark.parametrize("below", ["mnist", "."])
@pytest.mark.parametrize("packed", [True, False])
def test_files_in_the_data_folder_are_used_and_strange_ones_noted(tmp_path: Path, below: str, packed: bool) -> None:
    folder = tmp_path / "root" / below
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in mnist_like().items():
        (folder / (name if packed else name.removesuffix(".gz"))).write_bytes(raw if packed else gzip.decompress(raw))
    found = data.load("mnist", root=tmp_path / "root", cache=tmp_path / "cache")
    assert found.classes == tuple("0123456789")
    assert len(found.findings.notes) == 4
    assert "not the published file" in found.findings.notes[0]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("which", [catalogue.CIFAR10, catalogue.CIFAR100])
def test_cifar_in_its_binary_version(
    tmp_path: Path, which: catalogue.Published, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.arange(50) % len(which.classes)
    records: dict[str, bytes] = {}
    images: dict[str, np.ndarray[Any, Any]] = {}
    for member in which.members:
        images[member.name] = RNG.integers(0, 256, (50, 3, 32, 32), np.uint8)
        head = [np.full(50, 7), labels][-which.label_bytes :]
        columns = np.concatenate([np.stack(head, 1), images[member.name].reshape(50, -1)], 1)
        records[member.name] = columns.astype(np.uint8).tobytes()
    folder = tmp_path / "root" / which.name
    (folder / which.folder).mkdir(parents=True)
    members = tuple(replace(m, sha256=hashlib.sha256(records[m.name]).hexdigest()) for m in which.members)
    if packed:
        with tarfile.open(folder / which.files[0].name, "w:gz") as archive:
            for name, raw in records.items():
                info = tarfile.TarInfo(f"{which.folder}/{name}")
                info.size = len(raw)
                archive.addfile(info, io.BytesIO(raw))
        digest = hashlib.sha256((folder / which.files[0].name).read_bytes()).hexdigest()
        which = replace(which, files=(File(which.files[0].name, digest),))
    else:
        for name, raw in records.items():
            (folder / which.folder / name).write_bytes(raw)
    monkeypatch.setattr(catalogue, "ALL", (replace(which, members=members),))
    found = data.load(which.name, root=tmp_path / "root", cache=tmp_path / "cache")
    assert found.findings.notes == ()
    assert found.shape == (3, 32, 32)
    assert np.array_equal(found.test.images, images[members[-1].name])
    assert np.array_equal(found.test.labels, labels)
    assert len(found.train) + len(found.validation) == 50 * (len(members) - 1)


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "cifar-10-binary.tar.gz").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(DataError, match="cifar10"):
        data.load("cifar10", root=tmp_path, cache=tmp_path / "cache")


def test_the_tables_are_sound() -> None:
    for entry in catalogue.ALL:
        sums = [file.sha256 for file in entry.files] + [file.content for file in entry.files if file.content]
        sums += [member.sha256 for member in entry.members]
        assert all(len(bytes.fromhex(s)) == 32 for s in sums)
        assert len(set(sums)) == len(sums)
        assert len(set(entry.classes)) == len(entry.classes) == (100 if entry.name == "cifar100" else 10)
        assert all(mirror.endswith("/") for mirror in entry.mirrors)
        assert len(entry.mirrors) >= 2
