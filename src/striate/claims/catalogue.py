"""All claims in the lecture's order, and what runs them: a result per claim, as JSON in the folder."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import files
from striate.claims import (
    batchnorm,
    convolution_beats_dense,
    deeper_layers,
    dropout,
    local_connections,
    pooling_kinds,
    pooling_robust,
    pooling_saves,
    relu_converges,
    removal,
    results,
    shared_weights,
    shift_equivariance,
    spatial_structure,
)
from striate.claims.claim import Claim, Outcome, Scale, Setting, not_applicable
from striate.claims.comparing.trials import Trials, Watch, finite
from striate.claims.comparing.views import View
from striate.claims.learning import too_few
from striate.errors import NetworkError, UserError
from striate.notation import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from striate.data import DataSet
    from striate.train.engine import Precision

CLAIMS: tuple[Claim, ...] = (
    shared_weights.CLAIM,
    local_connections.CLAIM,
    shift_equivariance.CLAIM,
    relu_converges.CLAIM,
    pooling_kinds.CLAIM,
    pooling_robust.CLAIM,
    pooling_saves.CLAIM,
    dropout.CLAIM,
    batchnorm.CLAIM,
    convolution_beats_dense.CLAIM,
    spatial_structure.CLAIM,
    deeper_layers.CLAIM,
    removal.CLAIM,
)


def all() -> tuple[Claim, ...]:  # noqa: A001 - read as claims.all()
    """Every claim, in the lecture's order."""
    return CLAIMS


def find(name: str) -> Claim:
    """A claim by name or number. Raises UserError that lists the names.

    Example:
        >>> find("4").name
        'relu-converges'
    """
    for one in CLAIMS:
        if name in (one.name, str(one.number)):
            return one
    names = [one.name for one in CLAIMS]
    near = nearest(name, names)
    hint = f" (did you mean {near}?)" if near else ""
    raise UserError(f"there is no claim {name!r}{hint}; claims: {', '.join(names)}, or their numbers, or all")


def run(
    name: str,
    data: DataSet,
    scale: Scale = "quick",
    out: Path | str | None = None,
    *,
    network: str = "vanilla",
    workers: int = 1,
    seed: int = 0,
    seeds: int | None = None,
    precision: Precision = "float32",
    view: View | None = None,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Puts one claim to the test; writes OUT/NAME.json and returns its content.

    Arguments:
        name: the claim's name or number.
        data: labelled images.
        scale: `quick` is made for `digits` and a few minutes, `full` for MNIST or CIFAR-10 and networks after the
            sources', which takes hours.
        out: the folder, by default that of `results.home`. Trainings are kept in it and never repeated.
        network: what the counted claims (1, 2, 7) and claim 3 look at.
        workers: processes, as `compare` takes it.
        seed: the first of the seeds of all trainings or draws; the others follow it.
        seeds: how many, where not as many as the claim declares; the result is then OUT/NAME-seeds-N.json, beside the
            claim's own. The number is to be chosen before looking: seeds added until a verdict comes find what is not
            there.
        precision: of all trainings; bfloat16 is faster where the processor has it.
        view: how the data is seen; a control such as shuffled labels.
        watch: told of progress.

    Returns, ready for JSON:
        claim: the declaration; stem: the name of its file; data: name, fingerprint, images per split, shape, classes;
        scale; network: the one counted; view: null for the data as they are; seen: the view in words;
        precision: null where nothing is trained;
        verdict, because, headings, rows, figures, numbers, seeds, n: what was found;
        seconds, trainings: what it took now (trainings kept from before cost nothing).

    Raises:
        UserError: there is no such claim, the data does not suit it, or the folder holds its result on other data,
            at another scale, from other seeds, of another network or view, which this one would replace.
        Failure: interrupted; finished trainings are kept.
    """
    found = find(name)
    counted = None if found.learns or network == Setting.net else network
    folder = results.home(data, scale, seed, counted, precision) if out is None else Path(out)
    with Trials(data, folder, workers, watch) as trials:
        return conducted(found, Setting(data, scale, trials, network, view or View(), seed, seeds, precision))


def conducted(found: Claim, setting: Setting, *, source: Mapping[str, object] | None = None) -> dict[str, Any]:
    """`run` in a setting that several claims share, so that worker processes begin once.

    Arguments:
        source: what gives the data again, kept in the result for the page's command; `net` only where it counts.
    """
    trials, data = setting.trials, setting.data
    began, before = time.perf_counter(), trials.conducted
    if not data.classes or len(data.shape) != 3:
        raise UserError(f"the claims need labelled images; {data.name} has none")
    keep_others((found,), setting)
    setting = setting.of(found)
    outcome = _studied(found, setting)
    result = {
        **_asked(found, setting),
        "source": _source(found, source) if source else None,
        **outcome.as_json(),
        "seconds": time.perf_counter() - began,
        "trainings": trials.conducted - before,
    }
    written: dict[str, Any] = finite(result)
    if trials.ranks.first:
        files.write_json(_place(found, setting), written)
    return written


def kept(folder: Path) -> list[dict[str, Any]]:
    """The results that lie in a folder, in the lecture's order, of a claim by number of seeds; what is no result is
    left out."""
    return [found for one in CLAIMS for place in results.places(folder, one) if (found := results.read(place))]


def _source(found: Claim, source: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in source.items() if name != "net" or not found.learns}


def keep_others(chosen: Sequence[Claim], setting: Setting) -> None:
    """Makes sure, before anything is trained, that no result of these claims would take another's place.

    Raises:
        UserError: the folder holds one on other data, at another scale, from other seeds, of another network, view or
            precision.
    """
    for one in chosen:
        results.keep_others(_place(one, setting), _asked(one, setting), setting.first)


def _place(one: Claim, setting: Setting) -> Path:
    return setting.trials.folder / f"{results.stem(one, setting.count)}.json"


def _asked(found: Claim, setting: Setting) -> dict[str, Any]:
    """What a result says of the question: the claim, the data, the scale, the network counted, view and precision."""
    return {
        "claim": found.as_json(),
        "stem": results.stem(found, setting.count),
        "data": results.described(setting.seen) | {"fingerprint": setting.data.fingerprint},
        "scale": setting.scale,
        "network": None if found.learns else _text(setting),
        "view": None if setting.view == View() else asdict(setting.view),
        "seen": str(setting.view),
        "precision": setting.precision if found.learns else None,
    }


def _studied(found: Claim, setting: Setting) -> Outcome:
    """What the study finds, or why it cannot be made on this data."""
    why = too_few(setting.data) if found.learns else None
    if why:
        return not_applicable(why)
    try:
        return found.study(setting)
    except NetworkError as fault:
        if not found.learns and setting.net != Setting.net:  # the user's own choice, and fault
            raise
        return not_applicable(f"a network that it takes does not fit the images: {str(fault).splitlines()[0]}")


def _text(setting: Setting) -> str:
    try:
        return str(setting.network)
    except NetworkError:
        return setting.net
