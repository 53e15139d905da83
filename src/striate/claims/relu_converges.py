"""Claim 4: ReLU converges faster than tanh and sigmoid with SGD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.claims.claim import Claim, Outcome, Setting, outcome, recipe, ruled
from striate.claims.comparing.figures import learning_curves, value_bars
from striate.claims.comparing.metrics import reached, steps_metric
from striate.claims.ruling import Ruling

if TYPE_CHECKING:
    from striate.claims.comparing.comparison import Comparison

ACTIVATIONS = ("relu", "tanh", "sigmoid")

QUICK = "conv 8 5x5 pad=2, {f}, maxpool 2x2, conv 16 5x5 pad=2, {f}, maxpool 2x2, dense 32, {f}, dense {{classes}}"

FULL = (
    "conv 32 5x5 pad=2, {f}, maxpool 2x2, conv 32 5x5 pad=2, {f}, maxpool 2x2, "
    "conv 64 5x5 pad=2, {f}, maxpool 2x2, dense {{classes}}"
)
"""Four layers, as Krizhevsky et al. 2012, section 3.1; they give no sizes, these are of his cifar-10 networks."""

TUNED_AT = {"quick": 0.25, "full": 0.4}
"""Validation error by whose steps the rates are chosen. On CIFAR-10, with no regularization, 25% is never reached."""


def study(setting: Setting) -> Outcome:
    """Trains the same network with three activations."""
    quick = setting.scale == "quick"
    plain = recipe(
        epochs=10 if quick else 15,
        batch_size=64,
        optimizer="sgd",
        schedule="constant",
        momentum=0.9,
        learning_rate=0.01,
    )
    text = QUICK if quick else FULL
    variants = [setting.variant(f, text.format(f=f), plain) for f in ACTIVATIONS]
    found = setting.compare(
        variants,
        steps_metric(tuned_at=TUNED_AT[setting.scale]),
        (0.01, 0.03, 0.1, 0.3, 1.0) if quick else (0.001, 0.003, 0.01, 0.03, 0.1),
    )
    return outcome(found, decide(found), (learning_curves(found), value_bars(found, "Steps to 25% training error")))


def decide(found: Comparison) -> tuple[Ruling, tuple[str, ...]]:
    """The rule."""
    relu = found.of("relu")
    if not all(map(reached, relu.records)):
        return "inconclusive", ("ReLU itself did not come down to 25% training error with every seed; train longer",)
    others = [found.pair("relu", name) for name in ACTIVATIONS[1:]]
    said = [pair.sentence for pair in others]
    for name in ACTIVATIONS[1:]:
        late = sum(not reached(record) for record in found.of(name).records)
        if late:
            said.append(f"{name} did not reach it with {late} of {len(found.seeds)} seeds: its steps are a lower bound")
    refuted = any(pair.verdict.better or pair.verdict.none for pair in others)
    return ruled(supported=all(pair.verdict.worse for pair in others), contradicted=refuted), tuple(said)


CLAIM = Claim(
    number=4,
    name="relu-converges",
    sentence="ReLU converges faster than tanh and sigmoid with SGD.",
    source="Krizhevsky, Sutskever, Hinton 2012, section 3.1 and figure 1",
    varied="the activation: relu, tanh, sigmoid",
    held="the network otherwise, first weights, order of images; no regularization; SGD with momentum 0.9 at a "
    "constant rate, chosen for each apart as the one that reaches 25% validation error (full: 40%) soonest",
    metric="steps to 25% training error, compared as a ratio; where it is never reached, all steps taken (a lower "
    "bound)",
    supported="both tanh and sigmoid take more steps, each at p < 0.05 after Holm's correction",
    contradicted="one of them takes fewer, or differs from ReLU by less than a factor of 1.19",
    published="cifar10",
    study=study,
    seeds=5,
    hours=3.3,
)
