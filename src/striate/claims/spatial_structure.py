"""Claim 11: pixels shuffled by one fixed permutation take the advantage away from the CNN but not from the ANN."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from striate.claims.claim import Claim, Outcome, Setting, outcome, recipe, ruled
from striate.claims.comparing.contrasts import Contrast, contrasts
from striate.claims.comparing.figures import learning_curves, value_bars
from striate.claims.comparing.metrics import ACCURACY, POINT
from striate.claims.ruling import Ruling

if TYPE_CHECKING:
    from striate.claims.comparing.comparison import Comparison

CNN, ANN, CNN_SHUFFLED, ANN_SHUFFLED = "CNN", "ANN", "CNN, shuffled pixels", "ANN, shuffled pixels"

QUICK = {
    CNN: "conv 10 5x5, relu, maxpool 2x2, conv 20 5x5, relu, maxpool 2x2, dense 50, relu, dense {classes}",
    ANN: "dense 100, relu, dense {classes}",
}

FULL = {CNN: "vanilla", ANN: "dense 500, relu, dense 500, relu, dense {classes}"}

LOSS = replace(ACCURACY, smallest=POINT)

CNN_LOSES = "CNN, accuracy on shuffled pixels minus on images"
ANN_KEEPS = "ANN, accuracy on shuffled pixels minus on images"
MORE = "what the CNN loses beyond the ANN"


def study(setting: Setting) -> Outcome:
    """Trains both on images as they are, and on the same images with one permutation of the pixels."""
    found = _compared(setting)
    judged = contrasts(_sets(found), LOSS)
    figures = (value_bars(found, "Test accuracy"), learning_curves(found))
    return outcome(found, decide(found, judged), figures, judged)


def _compared(setting: Setting) -> Comparison:
    """All four; the ANN learns shuffled pixels at the rate chosen for images.

    A permutation of the pixels is one of its first layer's weights, so it is the same learner, and a rate chosen anew
    would only add the luck of the choice. The CNN is another learner there, and is tuned anew.
    """
    from striate.claims.comparing.comparison import Comparison, judged, measure

    quick = setting.scale == "quick"
    plain = recipe(epochs=8 if quick else 30)
    texts = QUICK if quick else FULL
    shuffled = replace(setting.view, shuffled_pixels=True)
    tuned = [setting.variant(CNN, texts[CNN], plain), setting.variant(ANN, texts[ANN], plain)]
    tuned.append(setting.variant(CNN_SHUFFLED, texts[CNN], plain, shuffled))
    found = setting.compare(tuned, ACCURACY, (0.003, 0.01, 0.03))
    rate = found.of(ANN).tuned.chosen
    ann = setting.variant(ANN_SHUFFLED, texts[ANN], plain, shuffled)
    last = measure([ann], setting.trials, seeds=found.seeds, metric=ACCURACY, rates=(rate,))
    measured = (*found.measured, *last)
    return Comparison(ACCURACY, found.seeds, measured, judged(measured, ACCURACY))


def _sets(found: Comparison) -> dict[str, list[float]]:
    cnn, ann, moved_cnn, moved_ann = (found.of(name).values for name in (CNN, ANN, CNN_SHUFFLED, ANN_SHUFFLED))
    lost = [b - a for a, b in zip(cnn, moved_cnn, strict=True)]
    kept = [b - a for a, b in zip(ann, moved_ann, strict=True)]
    return {CNN_LOSES: lost, ANN_KEEPS: kept, MORE: [a - b for a, b in zip(lost, kept, strict=True)]}


def decide(found: Comparison, judged: dict[str, Contrast]) -> tuple[Ruling, tuple[str, ...]]:
    """The rule."""
    said = (found.pair(CNN, ANN).sentence, *(one.sentence for one in judged.values()))
    ann, loses, keeps, more = found.pair(CNN, ANN).verdict, judged[CNN_LOSES], judged[ANN_KEEPS], judged[MORE]
    supported = ann.worse and loses.worse and more.worse and not keeps.worse
    refuted = ann.better or ann.none or loses.none or loses.better or more.none or more.better or keeps.worse
    return ruled(supported=supported, contradicted=refuted), said


CLAIM = Claim(
    number=11,
    name="spatial-structure",
    sentence="Pixels shuffled by one fixed permutation take the advantage away from the CNN but not from the ANN.",
    source="the lecture: a CNN uses the spatial structure of its input; LeCun & Bengio 1995",
    varied="the order of the pixels, the same permutation in every image of every split; CNN or ANN",
    held="images, networks, first weights, order of images; the recipe but for the learning rate, chosen for each "
    "apart on validation images, once for the ANN, which a permutation of its inputs leaves the same learner",
    metric="test accuracy",
    supported="on images the CNN is better than the ANN; shuffling costs the CNN accuracy, more than it costs the ANN, "
    "each at p < 0.05 after Holm's correction; and it does not cost the ANN any beyond chance",
    contradicted="the CNN has no advantage on images, or shuffling costs it no more than 1 point, or no more than 1 "
    "point beyond what it costs the ANN, or costs the ANN accuracy too",
    published="mnist",
    study=study,
    seeds=5,
    hours=1.6,
)
