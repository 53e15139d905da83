"""Files decoded once into the cache: what is remembered, what is not, and processes that die over a file."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate import data, files
from striate.data import cache, decoding, worker, workers
from striate.data import pixels as image_files
from striate.errors import Failure

from .folders import image, never


def dying(ending: str, doing: str = "seen", by: signal.Signals = signal.SIGABRT) -> str:
    """A program's first lines, after which it dies as soon as it looks at, or decodes, a path that ends so."""
    return (
        f"import os; from striate.data import worker; ours = worker.{doing}\n"
        f"end = lambda: os.kill(os.getpid(), {int(by)})\n"
        f"worker.{doing} = lambda path, *more: end() if path.endswith({ending!r}) else ours(path, *more)\n"
    )


def crash_on(
    monkeypatch: pytest.MonkeyPatch, ending: str, doing: str = "seen", by: signal.Signals = signal.SIGABRT
) -> None:
    """Worker processes die as soon as they look at, or decode, a path that ends so."""

    def started() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", f"{dying(ending, doing, by)}worker.main()"]
        return subprocess.Popen(command, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, text=True)

    monkeypatch.setattr(workers, "_started", started)


def test_the_second_start_decodes_nothing(top: Path, load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(top)
    monkeypatch.setattr(decoding, "decode_all", never)
    for file in top.rglob("*.png"):
        os.utime(file, (1, 1))  # looked at again, but still the same content
    second = load(top)
    assert second.fingerprint == first.fingerprint
    assert np.array_equal(second.train.images, first.train.images)


def test_settled_files_are_not_even_opened_again(top: Path, load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.data.looks._SETTLED", -(10**12))
    load(top)
    monkeypatch.setattr("striate.data.looks.seen_all", never)
    load(top)


def test_files_that_break_while_decoding_are_left_out_once_and_for_all(
    top: Path, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = top / "cat" / "cut.jpg"
    image(77, (64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    pets = load(top)
    (bad,) = pets.findings.unreadable
    assert bad.source == "cat/cut.jpg"
    assert "truncated" in bad.reason
    for pixels, source in zip(pets.train.images, pets.train.sources, strict=True):
        assert np.array_equal(pixels.transpose(1, 2, 0), np.asarray(Image.open(source)))
    monkeypatch.setattr(decoding, "decode_all", never)
    assert load(top).fingerprint == pets.fingerprint


@pytest.mark.parametrize("doing", ["seen", "pixels"])
@pytest.mark.parametrize(
    "fault",
    [OSError(errno.EIO, "I/O"), OSError(errno.EMFILE, "many"), PermissionError(errno.EACCES, "no"), MemoryError()],
)
def test_faults_that_pass_are_not_remembered(
    top: Path, load: Any, monkeypatch: pytest.MonkeyPatch, doing: str, fault: Exception
) -> None:
    monkeypatch.setattr("striate.data.looks._SETTLED", -(10**12))
    shutil.copy(top / "cat" / "004.png", top / "cat" / "copy.png")
    read, calls = image_files._bytes, 0  # pyright: ignore[reportPrivateUsage]

    def failing(path: str) -> bytes:
        nonlocal calls
        if path.endswith("copy.png"):
            calls += 1
            if calls == (1 if doing == "seen" else 2):
                raise fault
        return read(path)

    monkeypatch.setattr(image_files, "_bytes", failing)
    first = load(top)
    assert [bad.source for bad in first.findings.unreadable] == ["cat/copy.png"]
    second = load(top)
    assert second.findings.unreadable == ()
    assert second.findings.images == first.findings.images + 1 == 31
    for found in (first, second):
        for decoded, source in zip(found.train.images, found.train.sources, strict=True):
            assert np.array_equal(decoded.transpose(1, 2, 0), np.asarray(Image.open(source)))


@pytest.mark.parametrize("doing", ["seen", "pixels"])
def test_a_process_that_was_killed_over_a_file_condemns_nothing(
    top: Path, load: Any, monkeypatch: pytest.MonkeyPatch, doing: str
) -> None:
    monkeypatch.setattr("striate.data.looks._SETTLED", -(10**12))
    with monkeypatch.context() as once:
        once.setattr(workers, "FEW", 0)
        crash_on(once, "cat/003.png", doing, signal.SIGKILL)
        (bad,) = load(top).findings.unreadable
        assert (bad.source, bad.reason) == ("cat/003.png", "the process that decoded it was ended (SIGKILL)")
    assert load(top).findings.unreadable == ()


@pytest.mark.parametrize("doing", ["seen", "pixels"])
def test_a_file_that_crashed_the_decoder_is_not_given_to_it_again(
    top: Path, load: Any, monkeypatch: pytest.MonkeyPatch, doing: str
) -> None:
    cat = top / "cat" / "003.png"
    with monkeypatch.context() as once:
        once.setattr(workers, "FEW", 0)
        crash_on(once, "cat/003.png", doing)
        first = load(top)
    assert [(bad.source, bad.reason) for bad in first.findings.unreadable] == [("cat/003.png", workers.CRASHED)]
    os.utime(cat, (1, 1))
    ours = getattr(worker, doing)

    def others(path: str, *more: object) -> object:
        return never() if path == str(cat) else ours(path, *more)

    with monkeypatch.context() as once:
        once.setattr(worker, doing, others)
        assert load(top).findings == first.findings
    image(99).save(cat)
    assert load(top).findings.unreadable == ()


@pytest.mark.parametrize("doing", ["seen", "pixels"])
def test_the_start_after_one_that_died_finds_the_file_by_itself(
    top: Path, load: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, doing: str
) -> None:
    program = f"from striate import data; data.load({str(top)!r}, cache=pathlib.Path({str(tmp_path / 'cache')!r}))"
    died = subprocess.run(
        [sys.executable, "-c", f"import pathlib\n{dying('cat/003.png', doing)}{program}"], check=False
    )
    assert died.returncode == -signal.SIGABRT
    crash_on(monkeypatch, "cat/003.png", doing)
    assert [bad.source for bad in load(top).findings.unreadable] == ["cat/003.png"]
    assert not list((tmp_path / "cache").rglob("*.unfinished"))


def test_images_with_a_hole_never_stand_in_the_cache(top: Path, load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read, calls, kept, rename = image_files._bytes, [0], list[Path](), Path.replace  # pyright: ignore[reportPrivateUsage]

    def failing(path: str) -> bytes:
        calls[0] += path.endswith("cat/003.png")
        if path.endswith("cat/003.png") and calls[0] == 2:
            raise OSError(errno.EIO, "I/O")
        return read(path)

    def renamed(draft: Path, target: Path) -> Path:
        if target.suffix == ".npy":
            assert np.load(draft).any((1, 2, 3)).all()
            kept.append(target)
        return rename(draft, target)

    monkeypatch.setattr(image_files, "_bytes", failing)
    monkeypatch.setattr(Path, "replace", renamed)
    assert [bad.source for bad in load(top).findings.unreadable] == ["cat/003.png"]
    assert len(kept) == 1


def test_a_file_that_changes_between_look_and_decoding_is_left_to_the_next_start(
    top: Path, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cat, decode = top / "cat" / "003.png", decoding.decode_all

    def late(*what: Any, **how: Any) -> Any:
        image(99).save(cat)
        os.utime(cat, (1, 1))
        return decode(*what, **how)

    with monkeypatch.context() as once:
        once.setattr(decoding, "decode_all", late)
        (bad,) = load(top).findings.unreadable
        assert (bad.source, bad.reason) == ("cat/003.png", "it was changed while it was read")
    after = load(top)
    assert after.findings.unreadable == ()
    for split in (after.train, after.validation, after.test):
        for pixels, source in zip(split.images, split.sources, strict=True):
            assert np.array_equal(pixels.transpose(1, 2, 0), np.asarray(Image.open(source)))


def test_another_pillow_looks_again(top: Path, load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.data.looks._SETTLED", -(10**12))
    (top / "cat" / "bad.png").write_bytes(b"x")
    load(top)
    monkeypatch.setattr("PIL.__version__", "99.0")
    monkeypatch.setattr("striate.data.looks.seen_all", never)
    with pytest.raises(pytest.fail.Exception, match="done again"):
        load(top)


def test_two_first_starts_at_once_agree(top: Path, load: Any) -> None:
    found: list[data.DataSet] = []
    threads = [threading.Thread(target=lambda: found.append(load(top))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({d.fingerprint for d in found}) == 1
    for other in found[1:]:
        assert np.array_equal(other.train.images, found[0].train.images)


def test_a_damaged_cache_is_rebuilt(top: Path, load: Any, tmp_path: Path) -> None:
    before = np.array(load(top).train.images)
    (kept,) = (tmp_path / "cache" / "images").iterdir()
    kept.write_bytes(kept.read_bytes()[:500])
    for look in (tmp_path / "cache" / "looks").iterdir():
        look.write_text("{")
    assert np.array_equal(load(top).train.images, before)


def test_a_cache_that_cannot_be_written_is_a_failure_that_says_so(top: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(Failure, match="STRIATE_CACHE"):
        data.load(top, cache=tmp_path / "file")


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left, young, held = (tmp_path / f".{name}.npy.x.part" for name in ("left", "young", "held"))
    for path in (left, young, held):
        path.write_bytes(b"x")
    for path in (left, held):
        os.utime(path, (1, 1))
    with held.open("rb", buffering=0) as file:
        assert files.locked(file)
        with cache.new_images(tmp_path / "x.npy", (1, 1, 2, 2)) as (draft, _):
            assert sorted(tmp_path.iterdir()) == sorted([young, held, draft])
            os.utime(draft, (1, 1))
            with cache.new_images(tmp_path / "y.npy", (1, 1, 2, 2)):
                assert draft.exists()
    assert sorted(tmp_path.iterdir()) == sorted([young, held, tmp_path / "x.npy", tmp_path / "y.npy"])


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot take it")
def test_the_disk_space_of_decoded_images_is_taken_before_they_are_written(tmp_path: Path) -> None:
    with cache.new_images(tmp_path / "x.npy", (64, 3, 64, 64)) as (draft, _):
        assert draft.stat().st_blocks * 512 >= 64 * 3 * 64 * 64


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot take it")
@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT, errno.EOPNOTSUPP])
def test_a_full_disk_is_a_failure_before_anything_is_decoded(
    top: Path, load: Any, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def full(*_: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "posix_fallocate", full)
    if reason == errno.EOPNOTSUPP:  # the file system's fault, not the disk's
        assert load(top).findings.images == 30
        return
    monkeypatch.setattr(decoding, "decode_all", never)
    with pytest.raises(Failure, match=f"cannot be written .{os.strerror(reason)}.*STRIATE_CACHE"):
        load(top)


def test_the_environment_names_the_cache(top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "named"))
    data.load(top)
    assert list((tmp_path / "named" / "images").iterdir())


def test_processes_give_what_this_process_gives(top: Path, load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[object, ...]] = []

    def tell(*what: object) -> None:
        told.append(what)

    monkeypatch.setattr(workers, "FEW", 0)
    monkeypatch.setattr(workers, "CHUNK", 7)
    cut = top / "cat" / "cut.jpg"
    image(77, (64, 64)).save(cut)
    cut.write_bytes(cut.read_bytes()[:1500])
    many = load(top, progress=tell)
    assert {what[0] for what in told} == {"looking", "decoding"}
    assert told[-1] == ("decoding", 31, 31)
    assert "truncated" in many.findings.unreadable[0].reason
    for pixels, source in zip(many.train.images, many.train.sources, strict=True):
        assert np.array_equal(pixels.transpose(1, 2, 0), np.asarray(Image.open(source)))


def test_a_file_that_crashes_the_decoder_costs_only_itself(
    top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "FEW", 0)
    crash_on(monkeypatch, "cat/003.png")
    paths = [str(path) for path in sorted((top / "cat").iterdir())]
    found = workers.seen_all(paths)
    assert [i for i, seen in enumerate(found) if seen.reason] == [3]
    assert found[3].reason == workers.CRASHED


def test_what_else_is_printed_is_no_answer(top: Path, load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "print('welcome'); from striate.data import worker; ours = worker.seen\n"
        "worker.seen = lambda path: print('[1]') or ours(path)\n"
        "worker.main()"
    )

    def started() -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True)

    monkeypatch.setattr(workers, "FEW", 0)
    monkeypatch.setattr(workers, "_started", started)
    assert load(top).findings.images == 30


def test_processes_that_cannot_work_are_a_failure_and_no_fault_of_the_files(
    top: Path, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = 0

    def broken() -> subprocess.Popen[str]:
        nonlocal started
        started += 1
        return subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"], stdin=-1, stdout=-1, text=True)

    monkeypatch.setattr(workers, "FEW", 0)
    monkeypatch.setattr(workers, "_started", broken)
    with pytest.raises(Failure, match=r"ended with code 3; what is wrong is said by: .* -m striate\.data\.worker"):
        load(top)
    assert started <= 2


def test_what_stops_the_caller_stops_the_workers(top: Path, load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "FEW", 0)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(top, progress=stop)
    assert load(top).findings.images == 30
