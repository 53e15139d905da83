"""What a command looks at: a run's folder or a model file, and the images that go with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final

from striate.cli.source import Source
from striate.errors import DataError, UserError

if TYPE_CHECKING:
    from striate.data import DataSet, Split
    from striate.model import Model
    from striate.train import Run

SplitName = Literal["train", "validation", "test"]


@final
@dataclass(frozen=True)
class Subject:
    """A trained model, and the run it comes from where it comes from one.

    Attributes:
        path: what the user named.
        model: ready to use.
        run: its run; None for a model file on its own.
    """

    path: Path
    model: Model
    run: Run | None

    @classmethod
    def open(cls, path: Path) -> Subject:
        """The best model of a run, or the model of a `.safetensors` file. Raises UserError where it is neither."""
        from striate.model import Model
        from striate.train import Run

        if path.is_file():
            return cls(path, Model.load(path), None)
        if not path.exists():
            raise UserError(f"there is no run and no model at {path}; `striate train` makes one")
        run = Run.open(path)
        return cls(path, run.model("best"), run)

    def data(self, named: str | None = None, root: Path | None = None) -> DataSet:
        """The images the run was trained on, or those named, at the size and channels the model takes.

        Raises:
            DataError: nothing says which images; or other images have other classes than the model.
        """
        loaded = self._source(named, root).load()
        if named is not None and self.model.classes and loaded.classes != self.model.classes:
            raise DataError(
                f"{loaded.name} has the classes {_listed(loaded.classes)}; {self.path} was trained to tell "
                f"{_listed(self.model.classes)}: both must be the same, in the same order"
            )
        return loaded

    def _source(self, named: str | None, root: Path | None) -> Source:
        shape = self.model.preprocessing.shape
        if len(shape) != 3:
            raise DataError(f"{self.path} takes {shape[0]} features, not images")
        kept = self.run.data_source if self.run else None
        if named is not None:
            source = Source(named, fit=self.model.preprocessing.fit)
        elif kept is not None:
            source = Source.of_json(kept)
        else:
            raise DataError(f"{self.path} does not say which images it was trained on; name them with --data")
        return replace(source, size=(shape[1], shape[2]), channels=shape[0], root=root or source.root)


def split(loaded: DataSet, name: SplitName) -> Split:
    """One split of a data set by its name."""
    return {"train": loaded.train, "validation": loaded.validation, "test": loaded.test}[name]


def _listed(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:5]) + (f", ... ({len(classes)})" if len(classes) > 5 else "")
