"""The figures of the book, on white, in colours and dashes that everyone can tell apart.

`theme` has the style, the colours and the look of each penalty; `results` draws tables of
results, `predictions` predicted lengths beside attacks', `certificates` what certifies; `planes`
draws networks of two inputs; `lines` a network on a straight line; `steps` the quadratic model in the
plane; `clouds` class vectors; `brackets` bounds digit by digit; `secular` the function behind the
exact radius; `valley` two losses over two weights; `paper` the paper's own Figure 1; `draw_all` a
folder of results.
Matplotlib is loaded when something is drawn.
"""

from regrob.figures.planes import ellipse
from regrob.figures.predictions import predicted_against_found
from regrob.figures.results import (
    against_weight,
    band,
    cloud,
    difference_figure,
    dots,
    exchange,
    legend_below,
    lines,
    partners,
    price_figure,
    robustness,
    seeds_figure,
    stated_and_measured,
    trade,
    widen,
)
from regrob.figures.theme import (
    BLACK,
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    LENGTHS,
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
    "BLACK", "BLUE", "COLOURS", "GREEN", "GREY", "LENGTHS", "LINE_STYLES", "LOOKS", "MARKERS",
    "ORANGE", "PURPLE", "SKY", "VERMILION", "Look", "against_weight", "band", "cloud",
    "difference_figure", "digits", "dots", "ellipse", "exchange", "legend_below", "lines", "partners",
    "predicted_against_found", "price_figure", "robustness", "seeds_figure", "stated_and_measured",
    "style", "trade", "widen",
]  # fmt: skip
