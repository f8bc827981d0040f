"""The affine map that a piecewise-linear network is around an image, and where it holds.

The only room that looks inside a network. `local_map`: network, x → (V, z). `graph`: which operations a
network runs, and whether they are affine; `bends`: where the others switch, and `heights`: how far that is;
`piecewise_linear`: the verdict, with trials. `kinks`: where several maps meet. `polytopes`: the set Q(x) on
which the map is exact. `relu_layers`, `max_layers`: the whole network as dense maps with ReLUs, or with any
maxima, between them; `rectified`: with lines in place of its bends. All above it is a function of V, z and y.
"""

from regrob.affine.bends import Bend, units
from regrob.affine.float64 import checked_in_float64, in_float64
from regrob.affine.graph import Refusal, Trace, checked_logits, trace, without_backward_hooks
from regrob.affine.heights import along, gradient
from regrob.affine.kinks import Kink, first_kinks, kinks
from regrob.affine.local_map import LocalMap, local_map
from regrob.affine.max_layers import MaxLayer, MaxLayers, max_layers
from regrob.affine.piecewise_linear import (
    NetworkReport,
    PiecewiseLinearity,
    report,
    require_affine_operations,
    require_equal_alone,
    require_equal_constants,
    require_frozen_statistics,
    require_known_bends,
    require_piecewise_linear,
    verdict,
)
from regrob.affine.polytopes import (
    HalfSpaces,
    Region,
    cut,
    distance_to_edge,
    half_spaces,
    masked_product,
    regions,
)
from regrob.affine.relu_layers import ReluLayers, relu_layers

__all__ = [
    "Bend", "units", "Refusal", "Trace", "checked_logits", "trace", "without_backward_hooks", "along",
    "gradient", "Kink", "first_kinks", "kinks", "LocalMap", "local_map", "NetworkReport",
    "PiecewiseLinearity", "report", "require_affine_operations", "require_equal_alone",
    "require_equal_constants", "require_frozen_statistics", "require_known_bends",
    "require_piecewise_linear", "verdict", "HalfSpaces", "Region", "cut", "distance_to_edge",
    "half_spaces", "masked_product", "regions", "checked_in_float64", "in_float64", "ReluLayers",
    "relu_layers",
    "MaxLayer", "MaxLayers", "max_layers",
]  # fmt: skip
