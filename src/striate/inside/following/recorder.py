"""Follows a pass while it runs: hooks see the modules, a function mode sees every call between and within them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import torch
from torch import Tensor, nn

from striate.inside.following.arguments import Untranslatable, convolves
from striate.inside.following.calls import Call
from striate.inside.following.composed import is_composed, written_out
from striate.inside.following.ledger import Entry, Ledger, of_one_image
from striate.inside.following.origins import OVERWRITTEN, Origin, numbers, unknown
from striate.inside.following.steps import made_by
from striate.inside.following.translation import translated_module
from striate.inside.watching.each_call import EachCall
from striate.inside.watching.tensors import overwriting


@final
@dataclass(eq=False)
class Recorder(EachCall):
    """Writes down where every tensor of a pass comes from.

    Attributes:
        ledger: where it is written.
        layers: name of submodule -> where its output came from, once for every call.
        convolutions: where the output of every 2-D convolution came from, whoever called it.
    """

    ledger: Ledger
    layers: dict[str, list[Origin]] = field(default_factory=dict[str, list[Origin]])
    convolutions: list[Origin] = field(default_factory=list[Origin])

    def __post_init__(self) -> None:
        super().__init__()
        self._own = False
        self._within = ""
        self._waiting: list[tuple[nn.Module, Origin | None]] = []

    @classmethod
    def of(cls, module: nn.Module, image: Tensor, beside: Callable[[Ledger], EachCall] | None = None) -> Self:
        """Sends one image, a batch of one, through a module as `undisturbed` lends it, and follows it.

        Arguments:
            beside: makes what else sees the calls, before they are written down, and may correct the ledger.
        """
        recorder = cls(Ledger(module))
        recorder.ledger.put(image, Origin(numbers(image[0])))
        with ExitStack() as stack:
            for name, part in module.named_modules():
                stack.callback(part.register_forward_pre_hook(recorder.before).remove)
                stack.callback(part.register_forward_hook(recorder.after(name)).remove)
            stack.enter_context(torch.no_grad())
            stack.enter_context(recorder)
            if beside is not None:
                stack.enter_context(beside(recorder.ledger))
            module(image)
        return recorder

    @contextmanager
    def _unseen(self) -> Generator[None]:
        """Inside, what we do ourselves is not written down."""
        before, self._own = self._own, True
        try:
            yield
        finally:
            self._own = before

    # --- modules ---------------------------------------------------------------------------------------------

    def before(self, part: nn.Module, inputs: tuple[Any, ...]) -> None:
        """The hook before a submodule's call."""
        self._waiting.append((part, self.ledger.origin(inputs[0]) if inputs else None))

    def after(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], object], None]:
        """The hook after the call of the submodule of this name."""

        def hook(part: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
            called, given = self._waiting.pop()
            while called is not part:  # one that failed, and the module has gone on without it
                called, given = self._waiting.pop()
            if isinstance(output, Tensor):
                with self._unseen():
                    origin = self._left(name, part, inputs[0] if inputs else None, given, output)
                    origin = origin if origin.gives(output) else unknown(OVERWRITTEN)
                # What is known of it already stays as it is, with the zeros that were put around it.
                if not self.ledger.constant(output) and origin is not self.ledger.origin(output):
                    self.ledger.put(output, origin)
            else:
                origin = unknown(f"it is a {type(part).__name__}, which gives more than one tensor")
            self.layers.setdefault(name, []).append(origin)

        return hook

    def _left(self, name: str, part: nn.Module, x: object, given: Origin | None, output: Tensor) -> Origin:
        """Where a submodule's output comes from: a call within it, which is given its name, or the module itself."""
        if isinstance(x, Tensor) and of_one_image(x) and len(output) == 1:
            found = translated_module(part, tuple(x.shape[1:]))
            if found is not None:
                return made_by(name, found, self.ledger.reached(x), output) or unknown(_UNLIKE)
        inner = self.ledger.origin(output)
        if inner is None:
            return unknown(f"it is made by a {type(part).__name__} where calls are not seen")
        if inner is given or inner.step is None or not inner.step.function or name == "":
            return inner
        return replace(inner, step=replace(inner.step, name=name, function=False))

    # --- functions -------------------------------------------------------------------------------------------

    def called(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        if self._own:
            return func(*args, **kwargs)
        call = Call(func, args, kwargs)
        if self.ledger.made_of_constants(call.name, args, kwargs):
            result = func(*args, **kwargs)
            for each in _tensors(result):
                self.ledger.put_constant(each)
        elif is_composed(call.name):
            result = self._composed(call)
        else:
            result = self._followed(call)
        if convolves(call.name, args) and isinstance(result, Tensor) and result.dim() == 4:
            self.convolutions.append(self.ledger.reached(result).origin)
        return result

    def _composed(self, call: Call) -> Any:
        """The result of a call that is several in one, once these are followed beside it: the first of its tensors."""
        result = call.func(*call.args, **call.kwargs)
        first, *rest = _tensors(result)
        self._within = call.name
        try:
            with self:
                part = written_out(call.name, call.args, call.kwargs)
            origin = self.ledger.origin(part) or unknown(_made_by(call, _OTHER))
        except Untranslatable as fault:
            origin = unknown(_made_by(call, f" with {fault}"))
        finally:
            self._within = ""
        self.ledger.put(first, origin.giving(first))
        for each in rest:
            self.ledger.put(each, unknown(f"it is the second thing that the function {call.name} gives"))
        return result

    def _placed(self, entry: Entry, call: Call) -> Entry:
        """What a call has made, which says so where it is a part of another; what it has moved was made before."""
        step = entry.origin.step
        given = [self.ledger.origin(each) for each in call.args if isinstance(each, Tensor)]
        if not self._within or step is None or any(each is not None and each.step is step for each in given):
            return entry
        within = replace(step, text=f"{step.text} (within {self._within})")
        return entry._replace(origin=replace(entry.origin, step=within))

    def _followed(self, call: Call) -> Any:
        """The result of a call that is given something of the image, once it is written down where it comes from."""
        try:
            finish, reason = call.foreseen(self.ledger), _OTHER
        except Untranslatable as fault:
            finish, reason = None, f" with {fault}"
        with overwriting((call.args, call.kwargs)) as overwritten:
            result = call.func(*call.args, **call.kwargs)
        results = _tensors(result)
        entries = finish(results) if finish else [None] * len(results)
        told = {each: entry for each, entry in zip(results, entries, strict=False) if entry is not None}
        for each in results:
            if each in told:
                self.ledger.put(each, *self._placed(told[each], call))
            elif _among(overwritten, each) or not _among(call.args, each):
                self.ledger.put(each, unknown(_made_by(call, reason)))
        for each in overwritten:
            self.ledger.overwrite(each, list(told))
        self.ledger.note(call.func, call.args)
        return result


_OTHER = ", which no layer's equation describes"
_UNLIKE = "its output has another shape than its equation says"


def _made_by(call: Call, reason: str) -> str:
    return f"it is made by the function {call.name}{reason}"


def _among(these: Sequence[Any], tensor: Tensor) -> bool:
    """Whether it is one of these, not one of equal numbers."""
    return any(each is tensor for each in these)


def _tensors(result: Any) -> list[Tensor]:
    """The tensors that a call gives."""
    return [each for each in (result if isinstance(result, list | tuple) else [result]) if isinstance(each, Tensor)]
