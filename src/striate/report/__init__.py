"""What a run looks like on paper: pages that open from disk without a network, and plots with the data they show.

One stylesheet (`style.css`), one set of page components (`templates/components.html`), one style for plots
(`striate.mplstyle`). Nothing here trains or measures.
"""

from __future__ import annotations
