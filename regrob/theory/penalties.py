"""The four penalties (Eq. 11), per example: functions of V (…, n, K), z (…, K) and y (…).

A training loss adds λ times the mean over the batch. The mean is taken after the penalty:
a gradient of the mean loss would carry a hidden 1/N² (see the chapter on the penalties).
Pixels are in [0, 1]; with other units λ changes by their square.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from regrob.errors import InputError
from regrob.theory import derivatives


def input_gradient_penalty(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """‖∇‖₂², which is (1 − p_y)² ν² at K = 2: (…)."""
    return derivatives.input_gradient(V, z, y).square().sum(dim=-1)


def jacobian_penalty(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """μ² = ‖V‖_F²: (…). Neither the logits nor the label enter."""
    derivatives.check_map(V, z)
    return derivatives.lipschitz_squared(V)


def curvature_penalty(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """‖H‖₂, which is p_y (1 − p_y) ν² at K = 2; exact for any K: (…). The label drops out."""
    return derivatives.curvature(V, z)


def cross_lipschitz_penalty(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """Σ_{i,j} ‖v_i − v_j‖² / K², which is ν²/2 at K = 2: (…)."""
    derivatives.check_map(V, z)
    return derivatives.cross_lipschitz_squared(V)


Penalty = Callable[[Tensor, Tensor, Tensor], Tensor]

PENALTIES: dict[str, Penalty] = {
    "input-gradient": input_gradient_penalty,
    "jacobian": jacobian_penalty,
    "curvature": curvature_penalty,
    "cross-lipschitz": cross_lipschitz_penalty,
}
"""Name → penalty, as the command line and the results files spell them."""


def check_name(name: str) -> None:
    """Raise InputError, with the names that there are, unless one of the four penalties is called so."""
    if name not in PENALTIES:
        raise InputError(f"no penalty is called {name!r}; there are {', '.join(PENALTIES)}")
