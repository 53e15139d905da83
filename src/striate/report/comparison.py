"""The page of a comparison: what differs, seed by seed, how sure that is, and the curves it came from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from striate import files
from striate.report.claim_plots import drawn
from striate.report.page import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.claims import Comparison
    from striate.claims.comparing.comparison import Measured
    from striate.claims.comparing.figures import Figure
    from striate.claims.comparing.metrics import Metric
    from striate.data import DataSet
    from striate.report.plots import Plot

TONES = {"better": "better", "worse": "worse"}
"""Verdicts that have a colour; the word beside it says the same."""


def comparison_page(found: Comparison, data: DataSet, path: Path | str, *, command: str = "") -> Path:
    """Writes a comparison's page, and beside it `plots/` with each plot's numbers.

    Arguments:
        found: what was compared.
        data: what the variants learned.
        path: of the page, an .html file.
        command: what repeats it, where a command does.

    Returns: the path.
    """
    from striate.claims.comparing.figures import (
        cautions,
        differences,
        edges,
        learning_curves,
        pair_table,
        table,
        value_bars,
    )

    place = Path(path)
    name = found.metric.name
    figures = differences(found), value_bars(found, name[0].upper() + name[1:]), learning_curves(found)
    text = render(
        "comparison.html",
        title=" and ".join(one.variant.name for one in found.measured),
        data=data,
        metric=found.metric,
        seeds=found.seeds,
        verdicts=[(TONES.get(pair.verdict.word, "open"), pair.sentence) for pair in found.pairs],
        cautions=[*cautions(found), *edges(found.measured)],
        plots=_plots(figures, place),
        pairs=_verdict_first(*pair_table(found)),
        variants=table(found),
        texts=[_text(one, found.metric) for one in found.measured],
        command=command,
    )
    files.write_text(place, text)
    return place


def _verdict_first(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """The table with its last column, the verdict, beside the pair: what matters most is not the first to be cut."""
    first, *rest = ([cells[0], cells[-1], *cells[1:-1]] for cells in (headings, *rows))
    return first, rest


def _plots(figures: Sequence[Figure], page: Path) -> list[tuple[Plot, str]]:
    names = "differences", "values", "curves"
    plots = [drawn(f"{page.stem}-{name}", asdict(one)) for name, one in zip(names, figures, strict=True)]
    for plot in plots:
        plot.save_svg(page.parent / "plots")
    return [(plot, one.note) for plot, one in zip(plots, figures, strict=True)]


def _text(one: Measured, metric: Metric) -> dict[str, str]:
    """A variant in words: its network, its recipe, its learning rate."""
    from striate.claims.comparing.words import settings

    tried = ", ".join(f"{rate:g}" for rate in one.tuned.rates)
    how = f"tuned by {metric.tuned_by.name}: {tried} were tried" if len(one.tuned.rates) > 1 else "given"
    edge = " (at the edge)" if one.tuned.at_edge else ""
    return {
        "name": one.variant.name,
        "network": ", ".join(str(one.variant.network).splitlines()),
        "recipe": settings(one.variant.recipe),
        "rate": f"{one.tuned.chosen:g}, {how}{edge}",
    }
