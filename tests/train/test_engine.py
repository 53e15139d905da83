"""The engine: what is chosen and why, and that it can be forced."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate.errors import RecipeError
from striate.train import engine
from striate.train.engine import Engine


def test_one_line_says_every_choice_with_its_reason() -> None:
    chosen = Engine.choose(device="cpu")
    line = str(chosen)
    assert "\n" not in line
    assert line.startswith("cpu (asked for), ")
    assert all(reason in line for reason in chosen.why)
    assert len(chosen.why) == 5


def test_everything_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_cpu_flags", lambda: frozenset({"avx512_bf16"}))
    forced = Engine.choose(device="cpu", precision="bfloat16", channels_last=False, threads=3, keep_memory=False)
    assert forced == Engine("cpu", "bfloat16", False, 3, False, ("asked for",) * 5)
    assert Engine.of_json(forced.as_json()).as_json() == forced.as_json()


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"device must be one this machine has .*cpu.*, found 'cuda:99'"):
        Engine.choose(device="cuda:99")
    with pytest.raises(RecipeError, match="found 'toaster'"):
        Engine.choose(device="toaster")
    with pytest.raises(RecipeError, match="threads must be at least 1, found 0"):
        Engine.choose(threads=0)


@pytest.mark.parametrize(
    ("flags", "precision"),
    [({"avx2"}, "float32"), ({"avx512f", "avx512_bf16"}, "bfloat16"), ({"amx_bf16"}, "bfloat16")],
)
def test_bfloat16_where_the_cpu_computes_it(flags: set[str], precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_cpu_flags", lambda: frozenset(flags))
    assert Engine.choose(device="cpu").precision == precision


@pytest.mark.parametrize(("flags", "emulated"), [({"avx2"}, True), ({"avx512_bf16"}, False)])
def test_bfloat16_that_the_cpu_lacks_is_computed_and_said(
    flags: set[str], emulated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_cpu_flags", lambda: frozenset(flags))
    forced = Engine.choose(device="cpu", precision="bfloat16")
    assert (forced.precision, forced.emulates) == ("bfloat16", emulated)
    assert ("the CPU has no instructions for it" in str(forced)) == emulated
    assert not Engine.choose(device="cpu", precision="float32").emulates


def test_threads_and_switches_are_put_back_also_after_a_fault() -> None:
    threads = torch.get_num_threads()
    forced = Engine.choose(device="cpu", threads=threads + 1, keep_memory=False)

    def fail() -> None:
        with forced.running(deterministic=True):
            assert torch.get_num_threads() == threads + 1
            assert torch.are_deterministic_algorithms_enabled()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_bfloat16_is_for_products_and_weights_stay_float32() -> None:
    forced = Engine.choose(device="cpu", precision="bfloat16", keep_memory=False)
    layer = forced.place(nn.Conv2d(3, 4, 3))
    x = forced.arrange(torch.zeros(2, 3, 8, 8))
    assert x.is_contiguous(memory_format=torch.channels_last)
    with forced.arithmetic():
        assert layer(x).dtype == torch.bfloat16
    assert next(layer.parameters()).dtype == torch.float32


def test_vectors_have_no_channels_to_put_last() -> None:
    x = torch.zeros(2, 3)
    assert Engine.choose(device="cpu", channels_last=True).arrange(x) is x
