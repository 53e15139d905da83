"""Nothing that only reads and describes loads torch, and the front door is complete."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import striate

HEAVY = ("torch", "scipy", "matplotlib", "PIL", "pydantic", "pandas")


def loaded_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_package_loads_next_to_nothing() -> None:
    loaded = loaded_after("import striate\nassert 'Network' in dir(striate)")
    assert loaded.isdisjoint({*HEAVY, "numpy"})


def test_parsing_and_describing_load_no_torch() -> None:
    loaded = loaded_after("import striate\nstr(striate.Network.preset('resnet18').adapted(classes=5).describe())")
    assert "numpy" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_public_names() -> None:
    assert striate.__version__ == version("striate")
    assert striate.Network.__name__ == "Network"
    assert striate.layers.__name__ == "striate.layers"
    assert set(striate.__all__) <= set(dir(striate))
    assert all(hasattr(striate, name) for name in striate.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Netwerk'"):
        _ = getattr(striate, "Netwerk")  # noqa: B009
