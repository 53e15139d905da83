"""The page of the claims: a card each with the sentence, the verdict, its numbers, plots, and how to repeat it.

It takes results as they lie in a folder, so that claims tested one at a time come together on one page.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from striate import files
from striate.claims.ruling import MARKS
from striate.report.claim_plots import drawn
from striate.report.page import render


def claims_page(folder: Path | str, results: Sequence[Mapping[str, Any]]) -> Path:
    """Writes FOLDER/claims.html, and the plots beside it.

    Arguments:
        folder: where the results lie.
        results: as `claims.run` returns them, in the order of the page.

    Returns: the path of claims.html.
    """
    place = Path(folder)
    cards = [_card(result, place) for result in results]
    counts = {word: sum(r["verdict"] == word for r in results) for word in MARKS}
    text = render(
        "claims.html",
        cards=cards,
        sets=list({result["data"]["fingerprint"]: result["data"] for result in results}.values()),
        scales=sorted({result["scale"] for result in results}),
        counts=[(MARKS[word], word, n) for word, n in counts.items() if n],
        total=len(results),
    )
    files.write_text(place / "claims.html", text)
    return place / "claims.html"


def _card(result: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    claim = result["claim"]
    plots = [drawn(f"{_stem(result)}-{at}", figure) for at, figure in enumerate(result["figures"], 1)]
    for plot in plots:
        plot.save_svg(folder / "plots")
    return {
        "claim": claim,
        "stem": _stem(result),
        "asked": _asked(result),
        "verdict": result["verdict"],
        "symbol": MARKS[result["verdict"]],
        "kind": result["verdict"].replace(" ", "-"),
        "because": result["because"],
        "headings": result["headings"],
        "rows": result["rows"],
        "plots": [(plot, figure["note"]) for plot, figure in zip(plots, result["figures"], strict=True)],
        "n": result["n"],
        "first": _first(result),
        "seconds": result["seconds"],
        "trainings": result["trainings"],
        "seen": result.get("seen"),
        "command": None if result.get("seen") else _command(result),
        "data": result["data"],
        "scale": result["scale"],
        "precision": result.get("precision"),
    }


def _stem(result: Mapping[str, Any]) -> str:
    """What the files of a result begin with; results of before there was a choice of seeds do not say."""
    return result.get("stem") or result["claim"]["name"]


def _asked(result: Mapping[str, Any]) -> bool:
    """Whether another number of seeds was asked for than the claim's own."""
    return bool(result["n"]) and _stem(result) != result["claim"]["name"]


def _first(result: Mapping[str, Any]) -> int:
    """The first seed; 0 where there was no need of any."""
    return result["seeds"][0] if result["seeds"] else 0


def _command(result: Mapping[str, Any]) -> str:
    words = ["striate", "claims", "run", result["claim"]["name"], "--scale", result["scale"]]
    source = result.get("source") or {"name_or_path": result["data"]["name"]}
    words += ["--data", str(source["name_or_path"])]
    if source.get("size"):
        words += ["--size", "x".join(map(str, source["size"]))]
    for name, option in (("fit", "--fit"), ("root", "--data-root"), ("net", "--net"), ("out", "--out")):
        if source.get(name):
            words += [option, str(source[name])]
    if _first(result):
        words += ["--seed", str(_first(result))]
    if _asked(result):
        words += ["--seeds", str(result["n"])]
    if result.get("precision") == "bfloat16":
        words += ["--precision", "bfloat16"]
    return shlex.join(words)
