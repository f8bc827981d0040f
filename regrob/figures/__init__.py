"""The figures of the book, on white, in colours and dashes that everyone can tell apart.

`theme` has the style, the colours and the look of each penalty; `results` draws tables of results,
`compared` their comparisons, `predictions` predicted lengths beside attacks', `proved` distances that are
proved, `certificates` what certifies, `departure` how far a network is from affine, `step_cost` what a
training step costs; `planes` draws networks of two inputs; `along_line` a network on a straight line; `steps`
the quadratic model in the plane; `clouds` class vectors; `brackets` bounds digit by digit; `secular` the
function behind the exact radius; `valley` two losses over two weights; `finite_differences` their ratio to
the curvature; `eigenvalue_tie` two eigenvalues that cross; `taylor_radius` by how much that radius
overshoots; `critical_nu` where two penalties peak in ν; `lost_digits` rounding errors of q; `digit_vectors`
a digit beside its gradients; `paper` the paper's own Figures 1 and 3; `draw_all` a folder of results.
`living` has the figures that a reader moves.
Matplotlib is loaded when something is drawn.
"""

from regrob.figures.compared import dot_panels, verdict_grid
from regrob.figures.departure import departure_figure
from regrob.figures.planes import ellipse
from regrob.figures.predictions import predicted_against_found
from regrob.figures.results import (
    against_weight,
    band,
    box_figure,
    difference_figure,
    dots,
    exchange,
    exchanges,
    legend_below,
    lines,
    partners,
    price_figure,
    robustness,
    seeds_figure,
    stated_and_measured,
    trade,
    unpenalised_figure,
    widen,
)
from regrob.figures.step_cost import step_cost_figure
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
    "ORANGE", "PURPLE", "SKY", "VERMILION", "Look", "against_weight", "band", "box_figure",
    "departure_figure", "difference_figure", "digits", "dot_panels", "dots", "ellipse", "exchange",
    "exchanges", "legend_below", "lines", "partners", "predicted_against_found", "price_figure",
    "robustness", "seeds_figure", "stated_and_measured", "step_cost_figure", "style", "trade",
    "unpenalised_figure", "verdict_grid", "widen",
]  # fmt: skip
