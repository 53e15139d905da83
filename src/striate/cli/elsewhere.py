"""Files of weights that other programs wrote, where their metadata says which network they are for.

The metadata of a `.safetensors` file is text under keys of the writer's choosing. Read here: `network`, in the text
form of Striate, and `preprocessing`, words in which `mean` and `std` are followed by one number per channel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import final

from striate.cli.foreign import Foreign


@final
@dataclass(frozen=True)
class Described:
    """A file that describes itself: what stands in it in the words of the options, and a sentence that says so."""

    foreign: Foreign
    said: str


def described(path: Path) -> Described | None:
    """What a file of weights says of its network; None where it is none that does, or one of our own models."""
    from safetensors import SafetensorError, safe_open

    from striate.model import METADATA

    if path.suffix != ".safetensors" or not path.is_file():
        return None
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError):
        return None
    if METADATA in metadata or "network" not in metadata:
        return None
    words = metadata.get("preprocessing", "")
    mean, std = _numbers(words, "mean"), _numbers(words, "std")
    scaled = f"; images are normalized with mean {mean} and std {std}" if mean and std else ""
    foreign = Foreign(net=metadata["network"], weights=path, mean=mean, std=std)
    return Described(foreign, f"{path.name} says of itself: {metadata['network']}{scaled}")


def _numbers(words: str, name: str) -> str | None:
    """The numbers that follow a word: `mean 0.485 0.456 0.406` gives `0.485,0.456,0.406`."""
    found = re.search(rf"\b{name}((?:[ ,]+[0-9]*\.?[0-9]+)+)", words)
    return ",".join(found[1].replace(",", " ").split()) if found else None
