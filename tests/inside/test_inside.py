"""The public face: every name is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from striate import inside


@pytest.mark.parametrize("name", inside.__all__)
def test_every_public_name_can_be_called(name: str) -> None:
    assert callable(getattr(inside, name))
    assert name in dir(inside)


def test_importing_it_imports_no_torch() -> None:
    code = "import sys, striate.inside; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_names_are_unknown() -> None:
    with pytest.raises(AttributeError, match="no attribute 'attribution'"):
        _ = getattr(inside, "attribution")  # noqa: B009
