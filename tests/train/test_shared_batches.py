"""How processes share a batch, as threads of one process: what each of them gets, and what it is told."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, TypeVar

import pytest
import torch
from squares import DATA, ENGINE, NETWORK, recipe, trained
from torch import nn
from torch._C._distributed_c10d import HashStore

from striate.data.batches import share
from striate.errors import Failure, UserError
from striate.model import Model
from striate.ranks import Ranks
from striate.train import Run, evaluate, resume
from striate.train.events import Finished
from striate.train.faster import WordDropout
from striate.train.sharing import Sharing, digest
from striate.train.whole_batch import see_the_whole_batch
from striate.train.workbench import preprocessing, set_up

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from striate.train.events import Event


T = TypeVar("T")


def at_once(work: Callable[[Ranks], T], size: int) -> list[T]:
    """What `work` gives in each of several ranks of one store, each in a thread."""
    store = HashStore()
    found: dict[int, T] = {}

    def take(ranks: Ranks) -> None:
        found[ranks.rank] = work(ranks)

    threads = [threading.Thread(target=take, args=(Ranks(rank, size, store),)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return [found[rank] for rank in range(size)]


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("images", [12, 7, 4], ids=str)
@pytest.mark.parametrize("shape", [(5,), (5, 3, 4)], ids=["vectors", "maps"])
def test_batch_normalization_is_that_of_the_whole_batch(size: int, images: int, shape: tuple[int, ...]) -> None:
    """Values, gradients and running statistics; with 4 of 12 images, some have none."""
    torch.manual_seed(0)
    plain = (nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(5, eps=0.01, momentum=0.3).double()
    nn.init.normal_(plain.weight)
    alone = nn.Sequential(nn.Flatten(1), nn.Unflatten(1, shape), copy.deepcopy(plain))
    x, dy = (torch.randn(images, *shape, dtype=torch.float64) * 3 + 1 for _ in range(2))

    def work(ranks: Ranks) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        module, rows = copy.deepcopy(alone), x[share(12, (ranks.rank, size))].clone().requires_grad_()
        with Sharing(ranks) as sharing:
            see_the_whole_batch(module, sharing)
            sharing.begin(images, of=12)
            y = sharing.whole(module(rows))
            (y * dy).sum().backward()
            sharing.add_gradients(module)
            sharing.meet()
        assert rows.grad is not None
        return y.detach(), rows.grad, _gradients(module), module.state_dict()

    shared = at_once(work, size)
    whole = x.clone().requires_grad_()
    y = alone(whole)
    (y * dy).sum().backward()
    assert whole.grad is not None
    torch.testing.assert_close(torch.cat([dx for _, dx, _, _ in shared]), whole.grad)
    for found, _, gradient, state in shared:
        torch.testing.assert_close(found, y.detach())
        torch.testing.assert_close(gradient, _gradients(alone))
        torch.testing.assert_close(state, alone.state_dict())
    assert torch.equal(shared[0][0], shared[1][0])
    assert torch.equal(shared[0][2], shared[1][2])
    assert list(shared[0][3]) == list(alone.state_dict())


def _gradients(module: nn.Module) -> Tensor:
    return torch.cat([p.grad for p in module.parameters() if p.grad is not None])


def test_dropout_leaves_out_what_one_process_leaves_out() -> None:
    x = torch.rand(10, 6) + 1
    alone = WordDropout(0.4)
    torch.manual_seed(3)
    whole = alone(x)
    for rank in range(3):
        sharing = Sharing()
        sharing.images, sharing.rows = 10, share(12, (rank, 3))
        mine = WordDropout(0.4)
        mine.sharing = sharing
        torch.manual_seed(3)
        assert torch.equal(mine(x[sharing.rows]), whole[sharing.rows])


def test_what_one_says_all_hear() -> None:
    def work(ranks: Ranks) -> tuple[list[bool], list[float]]:
        with Sharing(ranks) as sharing:
            found = sharing.any(ranks.rank == 2, False), sharing.firsts(0.1 + ranks.rank, float("inf"))
            sharing.meet()
            return found

    assert at_once(work, 3) == [([True, False], [0.1, float("inf")])] * 3


def test_different_things_are_refused() -> None:
    def work(ranks: Ranks) -> str:
        with Sharing(ranks) as sharing:
            try:
                sharing.agree("one", ranks.rank // 2)
            except Failure as fault:
                return str(fault)
            return "agreed"

    said = at_once(work, 3)
    assert said[:2] == ["agreed", "agreed"]
    assert said[2] == "the processes that work together were given different commands, or see different data"


def test_who_leaves_is_missed_at_once() -> None:
    def work(ranks: Ranks) -> str:
        with Sharing(ranks) as sharing:
            if not ranks.first:
                return "left"
            with pytest.raises(Failure, match="another of the processes that work together had a fault, or is gone"):
                sharing.meet()
            return "missed"

    assert at_once(work, 2) == ["missed", "left"]


def test_a_fault_before_the_processes_meet_is_told_to_those_that_wait() -> None:
    def work(ranks: Ranks) -> str:
        try:
            with ranks.telling():
                if ranks.rank == 1:
                    raise Failure("no such device")
                Sharing(ranks)
        except Failure as fault:
            return f"{fault}, {ranks.first_fault()}, {ranks.first_fault()}"
        return "nothing"

    assert at_once(work, 2) == ["another process had a fault, False, False", "no such device, True, True"]


@pytest.mark.parametrize(
    ("device", "said"), [("mps", "compute on cpu or cuda, found mps"), ("cuda:1", "say cuda instead of cuda:1")]
)
def test_devices_that_cannot_be_shared_are_refused(device: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Sharing(Ranks(0, 2, HashStore()), device)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="torchrun began 4 where there are 2: begin one for each, or say --device cpu"):
        Sharing(Ranks(0, 4, HashStore()), "cuda")


def test_a_training_without_ranks_is_of_one_process_whatever_torchrun_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trials of claims are such trainings, in processes that torchrun may have started."""
    for name, value in {"RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    bench = set_up(NETWORK, DATA, recipe(), ENGINE, preprocessing(DATA, "crop"))
    assert not bench.sharing.together
    assert {type(part) for part in bench.module.modules()} >= {nn.BatchNorm2d, WordDropout}
    model = Model(NETWORK.build(0), preprocessing(DATA, "crop"), DATA.classes, NETWORK, "squares")
    assert evaluate(model, DATA.test).count == 30


class Viewing(nn.Module):
    """A module as people write them: no images have no shape (0, -1)."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x.view(x.size(0), -1))


def test_a_process_without_images_evaluates_modules_that_cannot_take_none() -> None:
    torch.manual_seed(0)
    model = Model(Viewing().eval(), preprocessing(DATA, "crop"), DATA.classes, None, "viewing")
    shared = at_once(lambda ranks: evaluate(model, DATA.test, batch=40, ranks=ranks).as_json(), 2)
    assert shared == [evaluate(model, DATA.test, batch=40).as_json()] * 2


def test_a_result_that_others_do_not_see_yet_is_told_by_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Network file systems remember for a while that a file was not there."""
    done, sight = trained(tmp_path / "run", epochs=1), threading.local()
    result = done.result

    def seen(_: Run) -> object:
        return result if sight.clear else None

    monkeypatch.setattr(Run, "result", property(seen))

    def work(ranks: Ranks) -> Event:
        sight.clear = ranks.first
        return list(resume(done.path, DATA, ranks=ranks))[-1]

    first, second = at_once(work, 2)
    assert isinstance(first, Finished)
    assert first == second


def test_a_digest_names_the_content() -> None:
    one = {"a": torch.arange(3), "b": torch.tensor(1.5)}
    assert digest(one) == digest({name: tensor.clone() for name, tensor in one.items()})
    for other in ({"a": one["a"]}, {"a": one["a"], "c": one["b"]}, one | {"b": torch.tensor(2.5)}):
        assert digest(other) != digest(one)
