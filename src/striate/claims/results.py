"""Where results lie: one file for each claim and number of seeds, in a folder for one data set, scale and first seed;
read and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from striate.claims.claim import Claim
    from striate.data import DataSet
    from striate.train.engine import Precision

PARTS = {
    "claim", "data", "scale", "verdict", "because", "headings", "rows", "figures", "seeds", "n", "seconds", "trainings",
}  # fmt: skip
"""Of a result, by name."""


def home(
    data: DataSet, scale: str, seed: int = 0, network: str | None = None, precision: Precision = "float32"
) -> Path:
    """The folder of results where none is named: `claims-DATA-SCALE`, with `-seed-N` where the first seed is not 0.

    Arguments:
        network: what is counted, where nothing else is asked for and it is not the default: then the folder's name
            ends with it.
        precision: of the trainings; part of the name where it is not float32.

    Example:
        >>> from striate import data
        >>> home(data.load("digits"), "quick", seed=5).name
        'claims-digits-quick-seed-5'
    """
    words = ["claims", _word(Path(data.name).name) or "data", scale]
    words += [f"seed-{seed}"] if seed else []
    words += [precision] if precision != "float32" else []
    words += [_word(Path(network).stem)] if network else []
    return Path("-".join(words))


def _word(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)[:40]


def stem(claim: Claim, seeds: int | None) -> str:
    """The name of a claim's result in its folder: its own, and `-seeds-N` where another number was asked for.

    Example:
        >>> from striate.claims import find
        >>> stem(find("5"), None), stem(find("5"), 6), stem(find("5"), 12)
        ('pooling-kinds', 'pooling-kinds', 'pooling-kinds-seeds-12')
    """
    own = seeds in (None, claim.seeds) or not claim.seeds
    return claim.name if own else f"{claim.name}-seeds-{seeds}"


def places(folder: Path, claim: Claim) -> list[Path]:
    """Where results of a claim lie in a folder: its own, then those of other numbers of seeds, the fewest first."""
    others = {int(count): path for path in folder.glob(f"{claim.name}-seeds-*.json") if (count := _count(path))}
    return [folder / f"{claim.name}.json", *(others[count] for count in sorted(others))]


def _count(path: Path) -> str:
    """The number at the end of `NAME-seeds-N.json`; empty where it is none."""
    count = path.stem.rpartition("-")[2]
    return count if count.isdecimal() else ""


def described(data: DataSet) -> dict[str, Any]:
    """What a result says of its data: name, fingerprint, shape, number of classes, images per split."""
    images = {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)}
    return {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "shape": list(data.shape),
        "classes": len(data.classes),
        "images": images,
    }


def keep_others(path: Path, asked: Mapping[str, Any], seed: int) -> None:
    """Makes sure that a claim's new result takes no other's place: one of other images, scale, seeds, network, view,
    precision.

    Arguments:
        path: where the new result will be written.
        asked: what it will say of its data, scale, network, view and precision.

    Raises:
        UserError: there is such a result.
    """
    if not path.exists():
        return
    held = read(path)
    if held is None:
        raise UserError(
            f"{path} is no result of a claim, and one would be written there: name another folder, or move it"
        )
    data, same = held["data"], held["data"]["fingerprint"] == asked["data"]["fingerprint"]
    size = "x".join(map(str, data["shape"]))
    first = (held.get("seeds") or [seed])[0]  # a counted claim has none
    counted = held.get("network") if held.get("verdict") != "not applicable" else asked["network"]  # it did not fit
    of = {
        f"of other images ({data['name']}, {data['images']['train']} of {size})": not same,
        f"of the {held['scale']} scale": held["scale"] != asked["scale"],
        f"of seeds from {first}": first != seed,
        "of another network": same and counted != asked["network"],
        "of the data seen otherwise": held.get("view") != asked["view"],
        "of trainings in another precision": held.get("precision", asked["precision"]) != asked["precision"],
    }
    others = [what for what, differs in of.items() if differs]
    if others:
        raise UserError(
            f"{path} holds a result {', '.join(others)}, where this one would be written: name another folder, or "
            "remove that one"
        )


def read(path: Path) -> dict[str, Any] | None:
    """The result that lies there; None where there is none, or something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if _whole(found) else None


def _whole(found: object) -> bool:
    """Whether it has every part of a result that is read again."""
    if not isinstance(found, dict) or not {*found} >= PARTS:
        return False
    claim, data = found["claim"], found["data"]
    return isinstance(claim, dict) and isinstance(data, dict) and {"name", "fingerprint", "shape", "images"} <= {*data}
