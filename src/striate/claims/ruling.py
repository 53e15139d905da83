"""What is ruled of a claim: the four words, and the marks that stand for them."""

from __future__ import annotations

from typing import Literal

Ruling = Literal["supported", "contradicted", "inconclusive", "not applicable"]
"""A claim's verdict."""

MARKS: dict[str, str] = {"supported": "✓", "contradicted": "✗", "inconclusive": "?", "not applicable": "–"}
