"""What the tests of this folder share besides `squares.py`."""

from __future__ import annotations

import pytest
from squares import trained

from striate.train import Run


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run that all interrupted ones are compared with."""
    return trained(tmp_path_factory.mktemp("runs") / "whole", keep_epochs=True)
