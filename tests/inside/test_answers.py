"""Probabilities from every form in which a classifier gives its scores."""

from __future__ import annotations

import pytest
import torch

from striate.errors import DataError, ModelError
from striate.inside.watching.answers import one_image, probabilities, require_classes, some_images


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_logits_log_probabilities_and_probabilities_are_one_answer(dtype: torch.dtype) -> None:
    logits = torch.randn((5, 7), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = logits.exp() / logits.exp().sum(1, keepdim=True)
    for outputs in (logits, logits.log_softmax(1), logits.softmax(1)):
        answer = probabilities(outputs.to(dtype))
        assert answer.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert torch.allclose(
            answer.double(), expected, atol={torch.float64: 1e-12, torch.float32: 1e-6}.get(dtype, 0.02)
        )


@pytest.mark.parametrize("outputs", [torch.zeros(2, 3, 4), torch.zeros(3), (torch.zeros(1, 2),)])
def test_what_is_no_row_of_scores_is_refused(outputs: object) -> None:
    with pytest.raises(ModelError, match="one row of class scores per image"):
        probabilities(outputs)


def test_classes_are_counted_from_zero() -> None:
    require_classes([0, 9], 10)
    with pytest.raises(DataError, match="class 10 is not one of the network's 10: 0 to 9"):
        require_classes([3, 10], 10)


def test_images_come_as_batches() -> None:
    assert one_image(torch.zeros(3, 4, 5)).shape == one_image(torch.zeros(1, 3, 4, 5)).shape == (1, 3, 4, 5)
    assert some_images(torch.zeros(2, 3, 4, 5)).shape == (2, 3, 4, 5)
    with pytest.raises(DataError, match=r"one image is needed.*found shape \(2, 3, 4, 5\)"):
        one_image(torch.zeros(2, 3, 4, 5))
    with pytest.raises(DataError, match=r"images are needed.*found shape \(0, 3, 4, 5\)"):
        some_images(torch.zeros(0, 3, 4, 5))
