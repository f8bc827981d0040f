"""The affine map that a piecewise-linear network is around an image, and where it holds.

The only room that looks inside a network. `local_map`: network, x → (V, z), and the checks that
the network has such a map. `kinks`: where several maps meet. `polytopes`: the set Q(x) on which
the map is exact. `graph`: which operations bend. All above it is a function of V, z and y.
"""

from regrob.affine.graph import KINKED, KinkedOperations
from regrob.affine.kinks import BENDING, kinks, watch_bends
from regrob.affine.local_map import (
    ACTIVATIONS,
    LocalMap,
    checked_logits,
    local_map,
    require_frozen_statistics,
    require_piecewise_linear,
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

__all__ = [
    "KINKED", "KinkedOperations", "BENDING", "kinks", "watch_bends", "ACTIVATIONS", "LocalMap",
    "checked_logits", "local_map", "require_frozen_statistics", "require_piecewise_linear",
    "HalfSpaces", "Region", "cut", "distance_to_edge", "half_spaces", "masked_product", "regions",
]  # fmt: skip
