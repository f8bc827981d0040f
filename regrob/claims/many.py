"""What the many-class claims share: cases over several K, a climb on the model, pair sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from regrob.claims.claim import Check
from regrob.claims.instances import Draw, autograd_noise
from regrob.theory import derivatives, probability

CLASSES = (2, 3, 4, 5, 10)
OFF_KINKS = "x off the kinks (the interior of Q(x))"
ARGMAX = "x classified correctly: y is the one largest logit"
MODEL = "the loss replaced by its quadratic model, β = log K"
ORDERED = "ν² = Σ over ordered pairs ‖v_i − v_j‖² / K², as in [10]"


class Case(NamedTuple):
    """T instances with K classes; gradient and Hessian from a closed form or from autograd.

    Attributes:
        V: (T, n, K).
        z: (T, K).
        y: (T,).
        gradient: (T, n).
        hessian: (T, n, n).
        noise: (T,), rounding in units of the machine's, at least 1.
    """

    V: Tensor
    z: Tensor
    y: Tensor
    gradient: Tensor
    hessian: Tensor
    noise: Tensor

    @property
    def p(self) -> Tensor:
        """p_y: (T,)."""
        return probability.label_probability(self.z, self.y)

    @property
    def q(self) -> Tensor:
        """1 − p_y: (T,)."""
        return probability.rival_probability(self.z, self.y)

    @property
    def xi(self) -> Tensor:
        """log K − L: (T,)."""
        return probability.slack(self.z, self.y)

    @property
    def slope(self) -> Tensor:
        """‖∇‖₂: (T,)."""
        size: Tensor = torch.linalg.vector_norm(self.gradient, dim=-1)
        return size

    @property
    def bend(self) -> Tensor:
        """‖H‖₂, from the n×n matrix itself: (T,)."""
        largest: Tensor = torch.linalg.eigvalsh(self.hessian)[..., -1]
        return largest


Excess = Callable[[Case], Tensor]


def random_case(
    draw: Draw, classes: int, *, correct: bool = True, inputs: int = 5, high: float = 30.0
) -> Case:
    """Bare instances; ∇ and H in closed form. ξ stays clear of 0, where log K − L cancels."""
    V, z, y = draw.instances(classes, correct=correct, inputs=inputs, low=0.3, high=high)
    g, H = derivatives.input_gradient(V, z, y), derivatives.hessian(V, z)
    return Case(V, z, y, g, H, torch.ones_like(z[:, 0]))


def network_cases(draw: Draw, classes: int, *, correct: bool = True) -> list[Case]:
    """Random and trained networks; ∇ and H by autograd. `correct` leaves out the misclassified."""
    cases = []
    for s in draw.samples(classes):
        keep = torch.ones_like(s.y, dtype=torch.bool)
        if correct:
            keep = probability.correctly_classified(s.map.z, s.y)
        parts = (s.map.V, s.map.z, s.y, s.autograd.gradient, s.autograd.hessian, autograd_noise(s))
        cases.append(Case(*(part[keep] for part in parts)))
    return cases


def over_random(
    excess: Excess,
    classes: tuple[int, ...] = CLASSES,
    *,
    correct: bool = True,
    inputs: int = 5,
    high: float = 30.0,
) -> Callable[[Draw], Tensor]:
    """The excess over bare instances of every K in turn, the trials shared out evenly."""

    def run(draw: Draw) -> Tensor:
        share = Draw(max(1, draw.trials // len(classes)), draw.seed, draw.device)
        cases = (random_case(share, K, correct=correct, inputs=inputs, high=high) for K in classes)
        return torch.cat([excess(case).flatten() for case in cases])

    return run


def over_networks(
    excess: Excess, classes: tuple[int, ...] = CLASSES, *, correct: bool = True
) -> Callable[[Draw], Tensor]:
    """The excess over networks of every K, in units of autograd's own rounding."""

    def run(draw: Draw) -> Tensor:
        cases = [case for K in classes for case in network_cases(draw, K, correct=correct)]
        return torch.cat([(excess(case) / case.noise).flatten() for case in cases])

    return run


def both(
    name: str,
    excess: Excess,
    tooth: Excess,
    wrong: str,
    *,
    classes: tuple[int, ...] = CLASSES,
    correct: bool = True,
    tolerance: float = 1e-10,
) -> tuple[Check, Check]:
    """One check on bare instances and one on networks, with the same tooth."""
    return (
        Check(
            f"{name} (random instances)",
            over_random(excess, classes, correct=correct),
            over_random(tooth, classes, correct=correct),
            wrong,
            tolerance,
        ),
        Check(
            f"{name} (networks, autograd)",
            over_networks(excess, classes, correct=correct),
            over_networks(tooth, classes, correct=correct),
            wrong,
            tolerance,
        ),
    )


def at(V: list[list[float]], z: list[float], y: int = 0) -> Case:
    """One instance, written down: for sharpness and for limits."""
    V_, z_ = torch.tensor([V], dtype=torch.float64), torch.tensor([z], dtype=torch.float64)
    y_ = torch.tensor([y])
    return Case(
        V_,
        z_,
        y_,
        derivatives.input_gradient(V_, z_, y_),
        derivatives.hessian(V_, z_),
        torch.ones_like(z_[:, 0]),
    )


def fixed(excess: Callable[[], Tensor]) -> Callable[[Draw], Tensor]:
    """An excess that needs no random numbers."""
    return lambda draw: excess().flatten().to(draw.device)


def violation(left: Tensor, right: Tensor) -> Tensor:
    """By how much left ≤ right fails, relative to their size; negative when there is slack."""
    return (left - right) / (left.abs() + right.abs()).clamp_min(torch.finfo(left.dtype).tiny)


def frobenius(V: Tensor) -> Tensor:
    """μ = ‖V‖_F: (…)."""
    return derivatives.lipschitz(V)


def distances(V: Tensor) -> Tensor:
    """‖v_i − v_j‖² for all ordered pairs: (…, K, K)."""
    return (V.unsqueeze(-1) - V.unsqueeze(-2)).square().sum(dim=-3)


def pair_sum(V: Tensor, z: Tensor) -> Tensor:
    """Σ_{i<j} p_i p_j ‖v_i − v_j‖², the right-hand side of Eq. (35), which is tr H: (…)."""
    p = torch.softmax(z, dim=-1)
    return 0.5 * (p.unsqueeze(-1) * p.unsqueeze(-2) * distances(V)).sum(dim=(-2, -1))


def highest(case: Case, radius: Tensor, *, box: bool = False, steps: int = 40) -> Tensor:
    """The quadratic model's largest gain ∇ᵀr + rᵀHr/2 on a ball or box: (T,).

    The model is convex, so its maximum is on the sphere or at a corner. Corners are tried one
    by one up to n = 8. Otherwise we climb: stepping to the point of the ball (or the corner)
    that the slope points at never goes down. The climb's end is a true value of the model, so
    a radius whose ball holds a gain above ξ is no lower bound.
    """
    g, H = case.gradient, case.hessian
    if box and g.shape[-1] <= 8:
        linear, curved = corner_values(case)
        gains = radius.unsqueeze(-1) * linear + 0.5 * radius.square().unsqueeze(-1) * curved
        return gains.amax(dim=-1)

    def extreme(slope: Tensor) -> Tensor:
        unit = slope.sign() if box else slope / torch.linalg.vector_norm(slope, dim=-1, keepdim=True)
        return radius.unsqueeze(-1) * unit

    r = extreme(g)
    for _ in range(steps):
        r = extreme(g + (H @ r.unsqueeze(-1)).squeeze(-1))
    return gain(case, r)


def corner_values(case: Case) -> tuple[Tensor, Tensor]:
    """|∇ᵀs| and sᵀHs at one of each pair ±s of the unit box's corners: (T, 2^{n−1}) each."""
    n = case.gradient.shape[-1]
    bits = torch.arange(2 ** (n - 1), device=case.z.device).unsqueeze(-1)
    signs = 1.0 - 2.0 * ((bits >> torch.arange(n, device=case.z.device)) & 1).to(case.z)
    curved = torch.einsum("sa,...ab,sb->...s", signs, case.hessian, signs)
    return (case.gradient @ signs.T).abs(), curved


def gain(case: Case, r: Tensor) -> Tensor:
    """∇ᵀr + rᵀHr/2: (T,)."""
    curved = (r.unsqueeze(-2) @ case.hessian @ r.unsqueeze(-1)).flatten()
    return (case.gradient * r).sum(dim=-1) + 0.5 * curved


def too_long(case: Case, radius: Tensor, *, box: bool = False) -> Tensor:
    """By how much a step shorter than `radius` overshoots ξ, relative to ξ: no lower bound if positive."""
    return (highest(case, radius, box=box) - case.xi) / case.xi
