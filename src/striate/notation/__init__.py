"""The text form of a network: from characters to layers, or to an error that shows the place.

    input 1x28x28
    conv 20 5x5, relu, maxpool 2x2          # one layer a line, or several with commas or ;
    (conv 40 3x3 pad=same, relu) x2         # repeats
    residual(conv 40 3x3 pad=same, relu)    # blocks; branches stand apart by |
    dense 10

A layer is a word, its arguments by place, its options as name=value; which ones, with which bounds, the layer's own
file in `striate.layers` says. Nothing is ever executed, and every length, depth and count is bounded. Printing is
`str(layer)`. Here is only the text: whether shapes fit is asked by `misfit`; what a network is, `striate.network` says.
"""

from striate.notation.faults import Fault, error, nearest, shown
from striate.notation.parser import MOST_CHARACTERS, read
from striate.notation.source import Item, Source, misfit

__all__ = ["MOST_CHARACTERS", "Fault", "Item", "Source", "error", "misfit", "nearest", "read", "shown"]
