"""What is refused when activations are followed back: operations that bend their input and have no deconvnet rule.

The judge is the graph that autograd has recorded from the activations to the pixels, so that only what lies on the
way is judged, and nothing escapes it, however it was called: from TorchScript, C++, or a custom `autograd.Function`.
`forms` lists what may be there; whatever is not in the list is refused, so that no activation function passes as one
that nobody has thought of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from striate.errors import ModelError
from striate.inside.projections.forms import MAPS, PRODUCT, Bent, Value, form_after, is_mean
from striate.inside.projections.marks import fault_of, is_leaf, is_unseen, module_of, node_name
from striate.inside.watching.spellings import spelling

_OURS = "striate.inside.projections.rules"
"""Where the rectifications are defined that follow a rule."""

_HIDDEN = ("relu", "differentiablegraph")
"""What a rectification is called in the graph that no rule could be given to: it lies inside of another call."""


def refuse_what_has_no_rule(activations: Tensor, image: Tensor, rule: str, others: str | None) -> None:
    """Raises ModelError if what lies between `image` and `activations` has no rule.

    A rectification that the rule's mode could not see is refused even where `others` are allowed: its plain gradient
    would be silently wrong.
    """
    found, unseen = _judged(activations, image)
    if unseen:
        raise ModelError(
            f"what compiled code calls ({', '.join(sorted(unseen))}) cannot be given the rule {rule}: "
            "use the uncompiled module"
        )
    if found and not others:
        names = ", ".join(sorted(found))
        raise ModelError(
            f"{names} has no {rule} rule: choose rule='gradient', or others='gradient' to pass it by its plain gradient"
        )


def bent_in_a_view(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """The name of what has overwritten a part of a tensor, which the graph does not name, if it is none of the known
    operations; otherwise empty."""
    name = spelling(func)[0]
    if name not in _WRITING:
        return name
    dependent = [a for a in (*args[1:], *kwargs.values()) if isinstance(a, torch.Tensor) and a.requires_grad]
    return PRODUCT if dependent and name in _SCALING else ""


_SCALING = ("mul", "div", "multiply", "divide", "true_divide")
_WRITING = (*_SCALING, "setitem", "copy", "add", "sub", "subtract", "neg", "zero", "fill", "index_put", "index_add",
    "index_copy", "index_fill", "masked_fill", "scatter", "scatter_add", "detach", "requires_grad")  # fmt: skip
"""Operations that may overwrite a part of a tensor, the first of them with a constant."""


def _judged(activations: Tensor, image: Tensor) -> tuple[set[str], set[str]]:
    """What has no rule between the image and the activations, in words; and what no rule could reach."""
    end = (activations.grad_fn, activations.output_nr)
    start = (image.grad_fn, image.output_nr)
    values, found, unseen = dict[Any, Value | None](), set[str](), set[str]()

    def value_at(edge: tuple[Any, int]) -> Value | None:
        if edge[0] is None:
            return None
        return MAPS if edge == start or is_mean(*edge) else values[edge[0]]

    for node in _in_order(end[0]):
        if is_leaf(node):
            values[node] = MAPS if node.variable is image else None
            continue
        inputs = [value_at(edge) for edge in node.next_functions]
        values[node] = MAPS if any(inputs) else None
        if not any(inputs) or module_of(node) == _OURS:
            continue
        name = node_name(node)
        try:
            values[node] = form_after(node, inputs)
            said = fault_of(node)
        except Bent as bent:
            said = str(bent)
        found |= {said} if said else set()
        unseen |= {name.lower()} if is_unseen(node) or name.lower() in _HIDDEN else set()
    last = value_at(end)
    return found | ({last.said} if last and last.said else set()), unseen


def _in_order(last: Any) -> Iterator[Any]:
    """Every operation recorded up to `last`, once, after those that it depends on."""
    waiting, begun, done = [last], set[object](), set[object]()
    while waiting:
        node = waiting[-1]
        if node is None or node in done:
            waiting.pop()
        elif node in begun:
            done.add(waiting.pop())
            yield node
        else:
            begun.add(node)
            waiting.extend(before for before, _ in node.next_functions)
