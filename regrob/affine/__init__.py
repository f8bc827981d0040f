"""The local affine map: network, x → (V, z), and the polytope on which it holds.

The only room that looks inside a network. Everything above it is a function of V, z and y.
"""

from regrob.affine.kinks import kinks
from regrob.affine.local_map import LocalMap, local_map

__all__ = ["LocalMap", "kinks", "local_map"]
