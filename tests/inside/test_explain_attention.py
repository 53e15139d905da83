"""Matrix products, softmax along any axis, and attention: every factor against torch's own derivative."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from explained import Calls, noise, walked
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.errors import ModelError
from striate.inside.explaining.ends import Pixel
from striate.inside.explaining.explain import explain
from striate.inside.explaining.explanation import Explanation
from striate.layers.terms import Dot, Products

Call = Callable[[Tensor], Tensor]


def parted(x: Tensor) -> tuple[Tensor, Tensor]:
    """Two batches of matrices, 2 of 4x3 and 2 of 3x4, without a number in common."""
    return x[:, :2], x[:, 2:].transpose(-2, -1)


CONSTANT = torch.randn(3, 5, generator=torch.Generator().manual_seed(5))

PRODUCTS: dict[str, Call] = {
    "operator": lambda x: parted(x)[0] @ parted(x)[1],
    "of itself": lambda x: x.flatten(2) @ x.flatten(2).transpose(1, 2),
    "matmul": lambda x: torch.matmul(*parted(x)),
    "by name": lambda x: torch.matmul(input=parted(x)[0], other=parted(x)[1]),
    "method": lambda x: parted(x)[0].matmul(parted(x)[1]),
    "a batch": lambda x: torch.bmm(*(each.flatten(0, 1) for each in parted(x))).unsqueeze(0),
    "a batch of matrices": lambda x: torch.bmm(parted(x)[0].reshape(2, 4, 3), parted(x)[1].reshape(2, 3, 4)),
    "one matrix": lambda x: torch.mm(x[0, 0], x[0, 1].T),
    "one for all": lambda x: parted(x)[0] @ parted(x)[1][:, :1],
    "einsum": lambda x: torch.einsum("bcid,bcjd->bcij", x[:, :2], x[:, 2:]),
    "einsum over channels": lambda x: torch.einsum("bchw,bcij->bhwij", x[:, :2], x[:, 2:]).flatten(1, 2),
    "einsum of a list": lambda x: torch.einsum("bchw,bcwv->bchv", [*parted(x)]),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_of_two_tensors(name: str) -> None:
    """The derivative with respect to each pixel is the sum of what it is multiplied with."""
    call, image, random = PRODUCTS[name], noise(4, 4, 3), np.random.default_rng(0)
    x = image.double()[None].requires_grad_()
    y = call(x)
    whole = y if y.dim() == 3 and len(y) > 1 else y[0] if y.dim() == 4 else y.reshape(-1, *y.shape[-2:])
    for _ in range(4):
        at = tuple(int(random.integers(side)) for side in whole.shape)
        (derivative,) = torch.autograd.grad(whole[at], x, retain_graph=True)
        found = explain(Calls(call), image, "", at[0], (at[1], at[2]), depth=1, follow=100)
        assert found.agrees
        assert found.value == pytest.approx(float(whole.detach()[at]), rel=1e-5)
        assert isinstance(found.terms, Dot)
        counted = np.zeros(image.shape)
        others = [float(b.source.adds) / b.source.x for b in found.below]
        for below, other in zip(found.below, others, strict=True):
            assert isinstance(below.found, Pixel)
            counted[(below.found.unit, *(below.found.position or ()))] += other
        assert len(found.below) == 2 * len(found.terms.a)
        assert counted == pytest.approx(derivative[0].numpy(), rel=1e-4, abs=1e-6)


class Weighed(nn.Module):
    """A product with a matrix of its own, on the right or on the left."""

    def __init__(self, right: bool) -> None:
        super().__init__()
        self.right, self.matrix = right, nn.Parameter(noise(3, 3, seed=4))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix if self.right else self.matrix @ x


@pytest.mark.parametrize("right", [True, False])
def test_a_product_with_a_constant(right: bool) -> None:
    module, image = Weighed(right), noise(2, 3, 3)
    with torch.no_grad():
        truth = module(image[None])[0]
    found = explain(module, image, "", 1, (2, 0), depth="input")
    assert found.value == pytest.approx(float(truth[1, 2, 0]), rel=1e-5)
    assert isinstance(found.terms, Products)
    assert sorted(found.terms.x.tolist()) == sorted((image[1, 2] if right else image[1, :, 0]).tolist())
    assert f"{'B' if right else 'A'} is the constant matrix of the network." in found.text()
    assert "no bias" not in found.text()
    assert walked(found)


SOFTMAXES: dict[str, Call] = {
    "over columns": lambda x: x.softmax(-1),
    "over rows": lambda x: F.softmax(x, dim=2),
    "over units": lambda x: F.softmax(x, 1),
    "of logarithms": lambda x: F.log_softmax(x, 3),
    "of positions": lambda x: x.flatten(2).softmax(2),
    "of channels that stand last": lambda x: x.flatten(2).transpose(1, 2).softmax(-1),
    "of what is no batch": lambda x: x[0].softmax(-1),
    "of five axes": lambda x: x.reshape(1, 2, 2, 3, 5).softmax(-1).flatten(1, 2),
}


@pytest.mark.parametrize("name", SOFTMAXES)
def test_softmax(name: str) -> None:
    call, image, random = SOFTMAXES[name], 3 * noise(4, 3, 5), np.random.default_rng(0)
    y = call(image[None].double())
    y = y if len(y) > 1 else y[0]
    y = y[None] if y.dim() == 2 else y
    for _ in range(5):
        at = tuple(int(random.integers(side)) for side in y.shape)
        found = explain(Calls(call), image, "", at[0], (at[1], at[2]), depth="input", follow=3)
        assert found.value == pytest.approx(float(y[at]), rel=1e-5, abs=1e-9)
        assert walked(found)


# --- attention in one call ---------------------------------------------------------------------------------------


def heads(x: Tensor, k: int) -> Tensor:
    """(1, 2 heads, 6 positions, 2 features), of four channels."""
    return x[:, 4 * k : 4 * k + 4].flatten(2).unflatten(1, (2, 2)).transpose(2, 3)


ATTENTION: dict[str, dict[str, Any]] = {
    "plain": {},
    "scaled": {"scale": 0.3},
    "causal": {"is_causal": True},
    "masked": {"attn_mask": torch.tril(torch.ones(6, 6, dtype=torch.bool), 2)},
    "biased": {"attn_mask": noise(2, 6, 6, seed=9)},
    "of shared keys": {"enable_gqa": True},
}


class Attends(nn.Module):
    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__()
        self.options, self.mask = options, options.get("attn_mask")

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (heads(x, each) for each in range(3))
        if self.options.get("enable_gqa"):
            k, v = k[:, :1], v[:, :1]
        return F.scaled_dot_product_attention(q, k, v, **self.options)


@pytest.mark.parametrize("name", ATTENTION)
def test_scaled_dot_product_attention(name: str) -> None:
    module, image, random = Attends(ATTENTION[name]), noise(12, 3, 2), np.random.default_rng(0)
    with torch.no_grad():
        truth = module(image[None])[0]
    for _ in range(4):
        at = tuple(int(random.integers(side)) for side in truth.shape)
        found = explain(module, image, "", at[0], (at[1], at[2]), depth="input", follow=4)
        assert found.module_value == float(truth[at])
        assert found.agrees
        assert walked(found)
        kinds = [found.kind, getattr(found.below[0].found, "kind", "")]
        within = "(within scaled_dot_product_attention)"
        assert kinds == [f"matmul {within}", f"softmax over columns {within}"]
        shares = cast("Dot", found.terms).a
        assert shares.sum() == pytest.approx(1)
        if name == "causal":
            assert all(shares[at[1] + 1 :] == 0)


class MultiHead(nn.Module):
    def __init__(self, mask: Tensor | None = None, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.attn, self.mask = nn.MultiheadAttention(4, 2, batch_first=True, **options), mask
        for tensor in self.attn.parameters():
            nn.init.normal_(tensor)
        self.head = nn.Linear(24, 2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (x[:, each].flatten(2).transpose(1, 2) for each in (slice(4), slice(4, 8), slice(8, 12)))
        k, v = k[..., : self.attn.kdim], v[..., : self.attn.vdim]
        y, shares = self.attn(q, k, v, attn_mask=self.mask, need_weights=True)
        self.shares = shares
        return self.head(y.flatten(1))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"kdim": 3, "vdim": 2},
        {"mask": torch.triu(torch.ones(6, 6, dtype=torch.bool), 1)},
        {"mask": noise(6, 6, seed=3)},
        {"dropout": 0.5},
    ],
    ids=str,
)
def test_torchs_own_attention(options: dict[str, Any]) -> None:
    module, image = MultiHead(**options).eval(), noise(12, 3, 2)
    with torch.no_grad():
        truth = module(image[None])[0]
    found = explain(module, image, "head", 1, depth="input", follow=2)
    assert found.value == pytest.approx(float(truth[1]), rel=1e-4, abs=1e-6)
    assert walked(found)
    (kind, *_) = (each.found.kind for each in found.below if isinstance(each.found, Explanation))
    biased = "" if options.get("bias", True) else " bias=no"
    assert (found.kind, kind) == ("dense 2", f"dense 4{biased} at each position (within multi_head_attention_forward)")


def unseen(x: Tensor) -> Tensor:
    with torch._C.DisableTorchFunction():  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        return x.exp()


class Masked(nn.Module):
    """The function that nn.MultiheadAttention calls, with a mask of truths, of which the module makes numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.attn, self.mask = MultiHead().attn, torch.triu(torch.ones(6, 6, dtype=torch.bool), 1)

    def forward(self, x: Tensor) -> Tensor:
        t, attn, out = x.flatten(2).permute(2, 0, 1), self.attn, self.attn.out_proj
        given = (t, t, t, 4, 2, attn.in_proj_weight, attn.in_proj_bias, None, None, False, 0.0, out.weight, out.bias)
        return F.multi_head_attention_forward(*given, training=False, attn_mask=self.mask)[0].transpose(0, 1)


def test_a_mask_of_truths_says_what_is_not_attended_to() -> None:
    module, image = Masked(), noise(4, 3, 2)
    with torch.no_grad():
        truth = module(image[None])[0]
    found = explain(module, image, "", 3, (0, 2), depth="input")
    assert found.value == pytest.approx(float(truth[2, 3]), rel=1e-5)
    assert walked(found)


class Dropping(nn.Module):
    """Leaves out scores of two heads, features of positions, and numbers of windows."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.drop, self.dense = nn.Conv2d(3, 4, 1), nn.Dropout(0.4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        q = x.flatten(2).unflatten(1, (2, 2)).transpose(2, 3)
        y = self.drop((q @ q.mT).softmax(-1)) @ q
        y = y.transpose(2, 3).flatten(1, 2) + self.drop(self.dense(x.flatten(2).mT)).mT
        return self.drop(y.reshape(2, 2, 2, 3, 1)).reshape(x.shape)


def test_what_dropout_leaves_out() -> None:
    """As the module itself leaves it out with the same seed."""
    torch.manual_seed(0)
    module, image = Dropping(), noise(3, 2, 3)
    torch.manual_seed(7)
    with torch.no_grad():
        truth = module.train()(image[None])[0]
    module.eval()
    for at in np.ndindex(*truth.shape):
        found = explain(module, image, "", at[0], (at[1], at[2]), depth="input", training=True, seed=7)
        assert found.value == pytest.approx(float(truth[at]), rel=1e-4, abs=1e-6)
        assert walked(found)


REFUSED: list[tuple[Call, str]] = [
    (
        lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5),
        "scaled_dot_product_attention with dropout_p=0.5; explained is attention that leaves nothing out",
    ),
    (lambda x: MultiHead(add_bias_kv=True).attn(*[x.flatten(2).mT] * 3)[0], "bias_k; explained is none"),
    (lambda x: MultiHead(add_zero_attn=True).attn(*[x.flatten(2).mT] * 3)[0], "add_zero_attn=True; explained"),
    (lambda x: MultiHead().attn(*[x.flatten(2).mT] * 3)[1], "the second thing that the function multi_head_attention"),
    (lambda x: torch.einsum("bchw,bcwv,bcvu->bchu", x, x.mT, x), "explained are sums of two tensors, with a letter"),
    (lambda x: x @ unseen(x.mT), "the function matmul with a tensor that the module does not hold"),
    (
        lambda x: x @ x.sum(0).cumsum(1).mT,
        "the function matmul with a tensor of shape (4, 2, 3) that cannot be followed",
    ),
]


@pytest.mark.parametrize(("call", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_is_refused(call: Call, words: str) -> None:
    with pytest.raises(ModelError) as refused:
        explain(nn.Sequential(Calls(call)).eval(), noise(4, 3, 2), "0", 0)
    assert words in str(refused.value)


# --- what it says ------------------------------------------------------------------------------------------------


def test_what_is_multiplied_with_what_is_said() -> None:
    torch.manual_seed(0)

    class Scores(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key = nn.Conv2d(3, 20, 1), nn.Conv2d(3, 20, 1)
            self.softmax = nn.Softmax(dim=-1)

        def forward(self, x: Tensor) -> Tensor:
            return self.softmax(self.query(x).flatten(2).transpose(1, 2) @ self.key(x).flatten(2))

    module, image = Scores(), noise(3, 2, 3)
    found = explain(module, image, "softmax", 0, (4, 5), depth=2, follow=1)
    (below,) = found.below
    assert isinstance(below.found, Explanation)
    text, page, held = below.found.text(), found._repr_html_(), below.found.as_json()  # pyright: ignore[reportPrivateUsage]
    words = "largest 16 of 20 products a · b, a of what query gives, b of what key gives"
    assert words in text
    assert words in page
    for said in (text, page):
        assert "Y[i,j] = Σ_k A[i,k] · B[k,j]" in said
        assert "the other 4 products together" in said
        assert "the sum of 20 products" in said
    assert "unit 0 at row 4, column" in text
    assert "where a = " in text
    assert held["terms"]["form"] == "dot"
    assert held["terms"]["branches"] == ["query", "key"]
    assert math.fsum(np.multiply(held["terms"]["a"], held["terms"]["b"])) == pytest.approx(held["value"])
    (score,) = below.found.below
    assert isinstance(score.found, Explanation)
    assert (score.found.layer, score.found.position) in (("query", (1, 1)), ("key", (1, 2)))
    terminal = " ".join(below.found.text(width=80).split())
    assert len(re.findall(r"unit 0 at row 4, column \d+ · unit 0 at row \d+, column 5\b", terminal)) == 16
    narrow = below.found.text(width=30)
    assert max(map(len, narrow.splitlines())) <= 30
