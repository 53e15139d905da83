"""Scripts that stand in a page: modules joined into one, or refused; JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from striate.report.atlas import script_json
from striate.report.bundle import bundled


def test_modules_are_joined_in_order(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nexport const a = b + c();\n')
    (tmp_path / "b.js").write_text('import { c } from "./c.js";\nexport const b = c();\n')
    (tmp_path / "c.js").write_text("export function c() { return 1; }\n")
    lines = [line for line in bundled(tmp_path, "a.js").splitlines() if line and not line.startswith("//")]
    assert lines == ["function c() { return 1; }", "const b = c();", "const a = b + c();"]


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ('import { b } from "./b.js";\n', "circle"),
        ("export const a = 1;\n", "both declare a"),
        ("const b = 1;\n", "does not export"),
        ("export default 1;\nexport const b = 1;\n", "cannot be joined"),
        ("export const b = 1;\nconst { c } = {};\n", "takes a value apart"),
    ],
)
def test_modules_that_cannot_be_joined_are_refused(tmp_path: Path, source: str, fault: str) -> None:
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nexport const a = b;\n')
    (tmp_path / "b.js").write_text(source if "circle" not in fault else 'import { a } from "./a.js";\n' + source)
    with pytest.raises(ValueError, match=fault):
        bundled(tmp_path, "a.js")


def test_json_cannot_end_a_script() -> None:
    text = script_json({"a": "</script><!--", "b": "\udcff\u2028"})
    assert "<" not in text
    assert text.isascii()
    assert json.loads(text) == {"a": "</script><!--", "b": "\udcff\u2028"}
