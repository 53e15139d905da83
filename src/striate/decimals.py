"""How many decimals a number is printed with: as many as what it was measured by can tell, and no more.

A score is known to one image; a mean, as far as its interval is narrow.
"""

from __future__ import annotations

import math

MOST = 2
"""Decimals of percentages and points: a hundredth of a point is one image of 10,000."""


def of_score(images: int, least: int = 1) -> int:
    """Decimals of a percentage that was counted over so many images: the fewest with which one image more shows.

    Arguments:
        images: how many were counted.
        least: decimals of few images; 0 where whole percents are enough.

    Returns: `least` to `MOST`.

    Example:
        >>> of_score(32), of_score(1_000), of_score(10_000), of_score(32, least=0)
        (1, 1, 2, 0)
    """
    return min(max(math.ceil(math.log10(max(images, 1))) - 2, least), MOST)


def of_mean(half: float, most: int = MOST) -> int:
    """Decimals of a mean and of both ends of its interval: those of the first two figures of half the interval.

    Arguments:
        half: half the interval's width, in the unit that is printed; 0 where nothing varied.
        most: decimals of narrower intervals.

    Returns: 0 to `most`.

    Example:
        >>> of_mean(17.8), of_mean(1.3), of_mean(0.85), of_mean(0.002)
        (0, 1, 2, 2)
    """
    if math.isinf(half):
        return 0
    return min(max(of_figures(half, 2), 0), most) if half > 0 else most


def of_figures(value: float, figures: int) -> int:
    """Decimals of a number's first figures; of large numbers below 0: -2 is hundreds.

    Arguments:
        value: finite, not 0.

    Example:
        >>> of_figures(0.0123, 2), of_figures(1.5, 3), of_figures(12_345, 3)
        (3, 2, -2)
    """
    return figures - 1 - math.floor(math.log10(abs(value)))


def percent(share: float, decimals: int) -> str:
    """A share from 0 to 1 as a percentage; what is not all of them is never 100%.

    Example:
        >>> percent(0.21875, 1), percent(49_999 / 50_000, 2)
        ('21.9%', '99.99%')
    """
    text = f"{100 * share:.{decimals}f}"
    if share < 1 and float(text) == 100:
        text = f"{100 * share - 0.5 * 10**-decimals:.{decimals}f}"
    return f"{text}%"
