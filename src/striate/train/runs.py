"""A run: the folder in which a training keeps everything, in open formats, so that every later step reads it there.

network.txt  recipe.toml  environment.json  data.json         what was decided before the first step
metrics.jsonl                                                 what happened, a line each
checkpoints/last.safetensors, best.safetensors, epoch-NNN.safetensors
model.safetensors  result.json                                once it is finished
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

from striate import files
from striate.errors import Failure, ModelError, UserError
from striate.model import Model, Preprocessing
from striate.network import Network
from striate.train.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from striate.data import DataSet
    from striate.train.engine import Engine

DECIDED = ("network.txt", "recipe.toml", "environment.json", "data.json")
"""The files that say what was decided before the first step; without one of them a folder holds no run."""


@final
@dataclass(frozen=True)
class Run:
    """A run's folder, finished or not. Everything is read when asked for.

    Attributes:
        path: the folder.
    """

    path: Path

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """The run in this folder. Raises UserError where there is none."""
        run = cls(Path(path))
        missing = [name for name in DECIDED if not (run.path / name).is_file()]
        if missing:
            if not run.path.exists():
                raise UserError(f"there is no run at {path}")
            what = f"holds no run: {', '.join(missing)} missing" if run.path.is_dir() else "is not a folder"
            raise UserError(f"{path} {what}")
        return run

    @property
    def name(self) -> str:
        """What to call it: the folder's name."""
        return self.path.resolve().name

    @property
    def network(self) -> Network:
        """The network as it was trained."""
        return Network.read(self.path / "network.txt", allow_large=True)

    @property
    def recipe(self) -> Recipe:
        """The recipe as it was followed."""
        return Recipe.read(self.path / "recipe.toml")

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, machine and engine; how many processes."""
        return _read_json(self.path / "environment.json")

    @property
    def processes(self) -> list[int]:
        """How many processes shared the training: when it began, and since each resumption by another number."""
        return self.environment.get("processes", [1])

    @property
    def data(self) -> dict[str, Any]:
        """What was trained on: name, source, shape, classes, counts, fingerprint, findings, preprocessing."""
        return _read_json(self.path / "data.json")

    @property
    def data_source(self) -> dict[str, Any] | None:
        """The arguments of `data.load` that give the data again; None where it was made in Python."""
        return self.data["source"]

    @property
    def preprocessing(self) -> Preprocessing:
        """How the images were normalized."""
        return Preprocessing.of_json(self.data["preprocessing"])

    @property
    def result(self) -> dict[str, Any] | None:
        """The test score and how the training ended; None while it is not finished."""
        path = self.path / "result.json"
        return _read_json(path) if path.exists() else None

    def checkpoint(self, which: Literal["last", "best"] | int = "last") -> Path:
        """Where a checkpoint lies, or would: the last, the best, or that of a kept epoch (from 1)."""
        stem = which if isinstance(which, str) else f"epoch-{which:03d}"
        return self.path / "checkpoints" / f"{stem}.safetensors"

    def kept_epochs(self) -> list[int]:
        """The epochs whose checkpoints were kept, in order."""
        found = (self.path / "checkpoints").glob("epoch-*.safetensors")
        return sorted(int(path.stem.removeprefix("epoch-")) for path in found)

    def model(self, which: Literal["last", "best"] | int = "best") -> Model:
        """The trained model: with the best weights on the validation split, the last, or those of a kept epoch.

        Raises:
            ModelError: that epoch was not kept, or no epoch is finished yet.
        """
        from striate.train.checkpoint import judged_weights

        path = self.checkpoint(which)
        if not path.exists():
            raise ModelError(f"{self.path} has no checkpoint {path.name}; {self._kept()}")
        network = self.network
        module = network.build(seed=0)
        module.load_state_dict(judged_weights(path))
        return Model(module.eval(), self.preprocessing, tuple(self.data["classes"]), network, self.data["name"])

    def _kept(self) -> str:
        if not self.checkpoint("best").exists():
            return f"no epoch is finished yet; go on with it by: {resume_command(self)}"
        kept = self.kept_epochs()
        return f"kept epochs: {', '.join(map(str, kept))}" if kept else "no epochs were kept (recipe: keep_epochs)"

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl: `kind` is `step` or `epoch`. A line half written is left out."""
        lines = (self.path / "metrics.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]


@contextlib.contextmanager
def new_run(
    out: Path,
    *,
    network: Network,
    data: DataSet,
    recipe: Recipe,
    engine: Engine,
    preprocessing: Preprocessing,
    source: Mapping[str, object] | None,
    processes: int = 1,
) -> Generator[Run]:
    """Gives a hidden folder to fill; on leaving it becomes `out` in one step: no half run is ever seen.

    Where `out` is an empty folder already (a link, the working folder, a mount: what nobody can replace) the files are
    moved into it, the recipe last, without which a folder holds no run.

    Raises:
        UserError: `out` holds something already.
    """
    refuse_occupied(out)
    out = out.resolve()
    draft = _draft(out)
    try:
        draft.chmod(0o777 & ~files.umask())
        files.write_text(draft / "network.txt", f"{network}\n")
        recipe.write(draft / "recipe.toml")
        files.write_json(draft / "environment.json", environment(engine, processes))
        files.write_json(draft / "data.json", _described(data, preprocessing, source))
        files.write_text(draft / "metrics.jsonl", "")
        yield Run(draft)
        if out.is_dir():
            _move_into(out, draft)
        else:
            draft.rename(out)
    finally:
        _remove(draft)


def _draft(out: Path) -> Path:
    """A new folder beside `out`, or in it where it is there: a mount's files cannot be renamed into it from outside."""
    place = out if out.is_dir() else out.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=place, prefix=f".{out.name}.", suffix=".part"))
    except OSError as cause:
        raise Failure(f"the run's folder {out} cannot be made: {cause.strerror}; choose another with --out") from None


def _move_into(out: Path, draft: Path) -> None:
    for path in sorted(draft.iterdir(), key=lambda path: path.name == "recipe.toml"):
        path.rename(out / path.name)


def refuse_occupied(out: Path) -> None:
    """Raises UserError where `out` cannot become a new run's folder."""
    if all((out / name).is_file() for name in DECIDED):
        raise UserError(
            f"{out} holds a run already; go on with it by: {resume_command(Run(out))}; or choose another folder"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not an empty folder; choose another for the run")


def resume_command(run: Run) -> str:
    """What makes a stopped run go on: a command; a call in Python where only Python can give the data again."""
    import shlex

    together = run.processes[-1] > 1
    if run.data_source is None:
        return f"striate.train.run_on({str(run.path)!r}, data{', ranks=ranks' * together})"
    begin = f"torchrun --nproc-per-node {run.processes[-1]} -m " * together
    return f"{begin}striate train --resume {shlex.quote(str(run.path))}"


def goes_on_with(run: Run, processes: int) -> None:
    """Notes in the run's environment where it goes on with another number of processes."""
    if run.processes[-1] != processes:
        known = run.environment | {"processes": [*run.processes, processes]}
        files.write_json(run.path / "environment.json", known)


def environment(engine: Engine, processes: int = 1) -> dict[str, object]:
    """Versions, machine, engine and number of processes, as JSON can hold them."""
    packages = ("striate", "torch", "numpy", "safetensors", "pillow")
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "engine": engine.as_json(),
        "engine_line": str(engine),
        "processes": [processes],
    }


@final
class Metrics:
    """Appends to a run's metrics.jsonl; while this is open, nobody else trains the run.

    Raises:
        Failure: somebody does.
    """

    def __init__(self, run: Run) -> None:
        self._path = run.path / "metrics.jsonl"
        self._file = self._path.open("r+b", buffering=0)
        self.length = 0
        if not files.locked(self._file):
            self.close()
            raise Failure(f"{run.path} is being trained already; wait until that training ends, or stop it first")

    def cut(self, length: int) -> None:
        """Cuts off what lies behind `length` bytes, of a run that was killed. Raises Failure where there is less."""
        found = self._file.seek(0, os.SEEK_END)
        if found < length:
            raise Failure(f"{self._path} has lost lines: {found} bytes where the checkpoint has seen {length}")
        self._file.truncate(length)
        self._file.seek(length)
        self.length = length

    def append(self, line: Mapping[str, object]) -> None:
        """Adds one line; it is handed to the system at once, so that a killed process loses none."""
        content = (json.dumps(line, allow_nan=False) + "\n").encode()
        if self._file.write(content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.length += len(content)

    def settle(self) -> None:
        """Waits until the lines are on the disk; a checkpoint that counts on them comes after."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def counts(data: DataSet) -> dict[str, int]:
    """How many images each split has."""
    return {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)}


def _described(data: DataSet, preprocessing: Preprocessing, source: Mapping[str, object] | None) -> dict[str, object]:
    return {
        "name": data.name,
        "source": dict(source) if source is not None else None,
        "shape": list(data.shape),
        "classes": list(data.classes),
        "images": counts(data),
        "fingerprint": data.fingerprint,
        "preprocessing": preprocessing.as_json(),
        "findings": data.findings.as_json(),
    }


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise UserError(f"cannot read {path}: {cause}") from None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
