"""How sure a counted share is."""

from __future__ import annotations

import math

Z_95 = 1.959963984540054
"""The normal distribution holds 95% between -z and z."""


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95% Wilson score interval of a share (Wilson 1927, JASA 22:209; without continuity correction).

        (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n),  p = successes / n, z = 1.96 for 95%

    It never leaves 0 ... 1 and holds its level for shares near them, where accuracies are.

    Arguments:
        successes: how many, 0 to n.
        n: of how many, at least 1.

    Example:
        >>> low, high = wilson(99, 100)
        >>> f"{low:.3f} {high:.3f}"
        '0.946 0.998'
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"an interval needs n >= 1 and 0 <= successes <= n, found {successes} of {n}")
    p, z = successes / n, Z_95
    centre, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)
    return (0.0 if successes == 0 else low), (1.0 if successes == n else high)
