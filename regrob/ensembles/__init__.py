"""Many small networks of one architecture, trained and attacked as one.

`layers` stacks their parameters; `kernels` has the convolutions and products that are fast on a
processor; `step` takes a training step in closed form, by the way that `multiplications` counts
as the cheapest; `ensemble` is all members together; `network_view` is what attacks see of them;
`graphs` records a step for CUDA.
"""

from regrob.ensembles.ensemble import Ensemble, Point, penalty_weights
from regrob.ensembles.graphs import captured, exact_float32
from regrob.ensembles.network_view import AutogradPullback, Pullback, StackedPullback, pullback
from regrob.ensembles.step import Step

__all__ = [
    "AutogradPullback", "Ensemble", "Point", "Pullback", "StackedPullback", "Step", "captured",
    "exact_float32", "penalty_weights", "pullback",
]  # fmt: skip
