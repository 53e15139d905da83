"""Claim 7: pooling reduces the parameters of later layers. Counted."""

from __future__ import annotations

from striate.claims.claim import Claim, Outcome, Setting, not_applicable
from striate.claims.comparing.figures import Figure
from striate.claims.comparing.words import count
from striate.errors import NetworkError
from striate.layers.pool import AvgPool, MaxPool
from striate.network import Network
from striate.summary import Row


def without_pooling(network: Network) -> Network:
    """The network with its own max and average pooling layers left out (those inside blocks stay)."""
    kept = tuple(layer for layer in network.layers if not isinstance(layer, MaxPool | AvgPool))
    return Network(kept, network.input, allow_large=True)


def study(setting: Setting) -> Outcome:
    """Counts parameters with and without the pooling layers."""
    network = setting.network
    try:
        bare = without_pooling(network)
    except NetworkError as fault:
        return not_applicable(f"without its pooling layers the network cannot be: {fault}")
    if len(bare.layers) == len(network.layers):
        return not_applicable("the network has no pooling layer of its own")
    pairs = [(a.name, a.parameters, b.parameters) for a, b in _same_layers(network, bare)]
    return Outcome(
        verdict="supported" if network.parameters < bare.parameters else "contradicted",
        because=(
            f"{count(network.parameters)} parameters with pooling, {count(bare.parameters)} without "
            f"({bare.parameters / network.parameters:.1f} times as many); multiply-adds for one image "
            f"{count(network.describe().multiply_adds)} and {count(bare.describe().multiply_adds)}",
        ),
        headings=("layer", "with pooling", "without"),
        rows=[[name, count(a), count(b)] for name, a, b in pairs],
        figures=(_figure(network.parameters, bare.parameters),),
        numbers={
            "with": network.parameters,
            "without": bare.parameters,
            "layers": [{"name": name, "with": a, "without": b} for name, a, b in pairs],
        },
    )


def _same_layers(network: Network, bare: Network) -> list[tuple[Row, Row]]:
    """The rows of the layers that learn, with and without the pooling layers."""
    rows = zip(network.describe().layers, network.layers, strict=True)
    kept = [row for row, layer in rows if not isinstance(layer, MaxPool | AvgPool)]
    return [(a, b) for a, b in zip(kept, bare.describe().layers, strict=True) if a.parameters]


def _figure(pooled: int, bare: int) -> Figure:
    lines = [{"name": "with pooling", "value": pooled}, {"name": "without", "value": bare}]
    return Figure("bars", "Parameters of the whole network", "parameters", "", lines)


CLAIM = Claim(
    number=7,
    name="pooling-saves",
    sentence="Pooling reduces the parameters of later layers.",
    source="Goodfellow, Bengio, Courville 2016, Deep Learning, section 9.3",
    varied="whether the network's pooling layers are there",
    held="all other layers",
    metric="parameters of the network, counted exactly",
    supported="the network has fewer parameters with its pooling layers than without",
    contradicted="it has as many or more",
    published="mnist",
    study=study,
    learns=False,
)
