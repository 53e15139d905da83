"""What a command looks at: a run's folder, a model file or a model from elsewhere, and the images that go with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final

from striate import files
from striate.cli import elsewhere, hubs
from striate.cli.foreign import Foreign
from striate.cli.source import Source
from striate.errors import DataError, Failure, UserError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

    from striate.data import DataSet, Split
    from striate.model import Model
    from striate.train import Run

SplitName = Literal["train", "validation", "test"]
SplitNames = Literal["train", "validation", "test", "all"]


@final
@dataclass(frozen=True)
class Subject:
    """A model, and the run it comes from where it comes from one.

    Attributes:
        path: what the user named; for a model from elsewhere its name.
        model: ready to use.
        run: its run; None for any other model.
        said: what was assumed about a model from elsewhere, a sentence each.
    """

    path: Path
    model: Model
    run: Run | None
    said: tuple[str, ...] = ()

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

    @classmethod
    def named(cls, target: str | None, foreign: Foreign, *, pretrained: bool = True) -> Subject:
        """What the words of a command stand for: a run, a file, a model of a hub, or one described by options.

        Arguments:
            target: a run's folder, a file, `torchvision:NAME`, `timm:NAME`; None where the options say it all.
            foreign: the options.
            pretrained: see `Foreign.model`.

        Raises:
            UserError: it is none of these, or both.
        """
        if target is None or hubs.is_hub(target):
            model = foreign.model(target, pretrained=pretrained)
            return cls(Path(model.name), model, None, () if target else foreign.assumed)
        path = files.expanded(target)
        own = elsewhere.described(path)
        if own is not None:
            known = foreign.over(own.foreign)
            return cls(path, known.model(), None, (own.said, *known.assumed))
        if foreign.module is not None or foreign.net is not None:
            raise UserError(f"name one model: {target}, or {foreign.said[0]}")
        if foreign.said:
            raise UserError(
                f"{target} stands for a model as it is; {foreign.said[0]} goes with --module, with --net, "
                "or with torchvision:NAME and timm:NAME"
            )
        return cls.open(path)

    def place(self, name: str) -> Path:
        """Where what is made from it goes unless the user says: its run, beside its file, or the current folder."""
        if self.run is not None:
            return self.path / name
        if self.path.is_file():
            return self.path.parent / f"{self.path.stem}-{name}"
        return Path(f"{re.sub(r'[^A-Za-z0-9._-]+', '-', self.model.name)}-{name}")

    def images(self, named: str | None, root: Path | None, which: SplitNames | None) -> DataSet:
        """Images to look at, as the test split of a data set: of the run's data, of those named, or of a plain folder.

        Their classes need not be the model's.

        Arguments:
            named: what `data.load` takes, or a folder of images without class folders, whose classes are then unknown.
            which: the split to take, or `all` of them, one after the other. Unless said: test for a run, which has not
                learned from it; all for a network from elsewhere, to which no image is known.

        Raises:
            DataError: nothing says which images, or there are none.
        """
        source = self._source(named, root)
        plain = source.load_unlabelled() if named is not None else None
        if plain is not None:
            if which not in (None, "all"):
                raise DataError(f"{source.name_or_path} has no class folders and so no splits: leave out --split")
            return plain
        loaded, which = source.load(), which or ("all" if self.run is None else "test")
        chosen = _all(loaded) if which == "all" else split(loaded, which)
        if not len(chosen):
            raise DataError(f"{loaded.name} has no {which} images")
        return replace(loaded, name=f"{loaded.name}, {which}", test=chosen)

    def any_images(self, named: str | None, root: Path | None) -> DataSet:
        """As `images`, with all splits as they are."""
        source = self._source(named, root)
        return (source.load_unlabelled() if named is not None else None) or source.load()

    def read(self, paths: list[Path]) -> UInt8[np.ndarray, "n channel row column"]:
        """Image files as the model takes them. Raises DataError, naming every file that cannot be read."""
        from striate import data

        return data.read_images(paths, self.require_images(), self.model.preprocessing.fit)

    def require_images(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the images that the model takes. Raises DataError where it takes features."""
        shape = self.model.preprocessing.shape
        if len(shape) != 3:
            raise DataError(f"{self.path} takes {shape[0]} features, not images")
        return shape[0], shape[1], shape[2]

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

    def is_own(self, named: str | None) -> bool:
        """Whether these words, what `data.load` takes, name the data that the run was trained on; None always does."""
        kept = self.run.data_source if self.run else None
        if named is None or kept is None:
            return named is None
        return Source(named).as_json()["name_or_path"] == Source.of_json(kept).as_json()["name_or_path"]

    def trained_on(self, images: Split) -> int | None:
        """How many of these images, by content, were trained on; None where the run's own are not here as they were."""
        from striate.data.loading import needs_download
        from striate.data.oddities import shared

        kept = self.run.data_source if self.run else None
        if self.run is None or kept is None or needs_download(kept["name_or_path"], Source.of_json(kept).root):
            return None
        try:
            own = self._source(None, None).load()
        except (DataError, Failure):
            return None
        unchanged = own.fingerprint == self.run.data["fingerprint"]
        return shared(images.images, own.train.images) if unchanged else None

    def _source(self, named: str | None, root: Path | None) -> Source:
        channels, *sides = self.require_images()
        kept = self.run.data_source if self.run else None
        if kept is not None and self.is_own(named):
            source = Source.of_json(kept)  # with the seed that divided it: another test split has been trained on
        elif named is not None:
            source = Source(named, fit=self.model.preprocessing.fit)
        else:
            raise DataError(f"{self.path} does not say which images it was trained on; name them with --data")
        return replace(source, size=(sides[0], sides[1]), channels=channels, root=root or source.root)


def split(loaded: DataSet, name: SplitName) -> Split:
    """One split of a data set by its name."""
    return {"train": loaded.train, "validation": loaded.validation, "test": loaded.test}[name]


def _all(loaded: DataSet) -> Split:
    from striate.data.joined import joined

    return joined([loaded.train, loaded.validation, loaded.test])


def _listed(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:5]) + (f", ... ({len(classes)})" if len(classes) > 5 else "")
