"""The figures of the book, on white, in colours and dashes that everyone can tell apart.

`theme` has the style, the colours and the look of each penalty; `results` draws tables of
results; `paper` the paper's own Figure 1 (it needs torch); `draw_all` a folder of results.
Matplotlib is loaded when something is drawn.
"""

from regrob.figures.results import difference_figure, draw, exchange, robustness
from regrob.figures.theme import (
    BLACK,
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    LINE_STYLES,
    LOOKS,
    MARKERS,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Look,
    digits,
    style,
)

__all__ = [
    "BLACK", "BLUE", "COLOURS", "GREEN", "GREY", "LINE_STYLES", "LOOKS", "MARKERS", "ORANGE",
    "PURPLE", "SKY", "VERMILION", "Look", "difference_figure", "digits", "draw", "exchange",
    "robustness", "style",
]  # fmt: skip
