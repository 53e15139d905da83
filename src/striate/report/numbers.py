"""Numbers as a page writes them: three significant figures, a true minus, thin spaces between thousands.

The thin space is U+202F, which does not break at the end of a line.
"""

from __future__ import annotations

import math

from striate import decimals

THIN_SPACE = "\u202f"
MINUS = "\u2212"


def number(value: float, figures: int = 3) -> str:
    """A measured number to `figures` significant figures; very large and very small ones in powers of ten.

    Example:
        >>> number(0.012345), number(-3.14159), number(1234.5), number(6.02e23)
        ('0.0123', '−3.14', '1\u202f230', '6.02×10²³')
    """
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else f"{MINUS if value < 0 else ''}∞"
    if value == 0:
        return "0"
    mantissa, power = f"{value:.{figures - 1}e}".split("e")
    exponent = int(power)
    if not -4 <= exponent < 6:
        return f"{mantissa.replace('-', MINUS)}×10{_raised(exponent)}"
    rounded = float(f"{value:.{figures - 1}e}")
    return _spaced(f"{rounded:,.{max(0, figures - 1 - exponent)}f}")


def count(value: int) -> str:
    """A counted number, with all its figures.

    Example:
        >>> count(61100840), count(-520)
        ('61\u202f100\u202f840', '−520')
    """
    return _spaced(f"{value:,d}")


def percent(share: float, n: int | None = None) -> str:
    """A share from 0 to 1 as a percentage, with no more decimals than `n` observations carry.

    Arguments:
        share: 0 to 1.
        n: how many were counted: as few decimals as tell one more or less apart (one more of 1,000 is 0.1%), at most
            two. Without it one decimal.

    Example:
        >>> percent(0.98765, n=10_000), percent(0.98765, n=500), percent(0.5, n=20)
        ('98.77%', '98.8%', '50%')
    """
    if math.isnan(share):
        return "–"
    return _spaced(decimals.percent(share, 1 if n is None else decimals.of_score(n, least=0)))


def seconds(value: float) -> str:
    """A duration in the units a person would use.

    Example:
        >>> seconds(3.24), seconds(75), seconds(4000)
        ('3.2 s', '1 min 15 s', '1 h 6 min')
    """
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _spaced(text: str) -> str:
    return text.replace(",", THIN_SPACE).replace("-", MINUS)


def _raised(exponent: int) -> str:
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
