"""The setting of Section 4: cases with K classes, their quadratic model, and checks over many cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from regrob.claims.claim import Check
from regrob.claims.instances import Draw
from regrob.theory import bounds, derivatives, probability, taylor_radius

CLASSES = (2, 3, 4, 5, 10)
ARGMAX = "x classified correctly: y is the one largest logit"
MODEL_BELOW_LOG_K = "the loss replaced by its quadratic model, β = log K"
ORDERED = "ν² = Σ over ordered pairs ‖v_i − v_j‖² / K², as in [10]"

# --- cases -----------------------------------------------------------------------------


def length(vectors: Tensor) -> Tensor:
    """Euclidean norms over the last axis: (…)."""
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return norms


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
    def K(self) -> int:
        """Number of classes."""
        return self.z.shape[-1]

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
    def gradient_norm(self) -> Tensor:
        """‖∇‖₂: (T,)."""
        return length(self.gradient)

    @property
    def uphill(self) -> Tensor:
        """∇/‖∇‖₂: (T, n)."""
        return self.gradient / self.gradient_norm.unsqueeze(-1)

    @property
    def curvature(self) -> Tensor:
        """‖H‖₂, from the n×n matrix itself: (T,)."""
        eigenvalues: Tensor = torch.linalg.eigvalsh(self.hessian)
        return eigenvalues[..., -1]

    @property
    def trace(self) -> Tensor:
        """tr H, from the n×n matrix itself: (T,)."""
        return self.hessian.diagonal(dim1=-2, dim2=-1).sum(dim=-1)

    @property
    def lipschitz(self) -> Tensor:
        """‖V‖_F: (T,)."""
        return derivatives.lipschitz(self.V)

    @property
    def spectral_norm(self) -> Tensor:
        """‖V‖₂: (T,)."""
        largest: Tensor = torch.linalg.matrix_norm(self.V, ord=2)
        return largest

    @property
    def centred_norm(self) -> Tensor:
        """‖VC‖₂: (T,)."""
        return bounds.centred_norm(self.V)

    def model_gradient(self, r: Tensor) -> Tensor:
        """∇ + Hr, the quadratic model's gradient after a step r: (T, n)."""
        return self.gradient + (self.hessian @ r.unsqueeze(-1)).squeeze(-1)

    def quadratic_form(self, r: Tensor) -> Tensor:
        """rᵀHr: (T,)."""
        return (r.unsqueeze(-2) @ self.hessian @ r.unsqueeze(-1)).flatten()

    def gain(self, r: Tensor) -> Tensor:
        """∇ᵀr + rᵀHr/2: (T,)."""
        return (self.gradient * r).sum(dim=-1) + 0.5 * self.quadratic_form(r)


def closed_form(V: Tensor, z: Tensor, y: Tensor) -> Case:
    """Bare instances V (T, n, K), z (T, K), y (T,), with ∇ and H in closed form."""
    gradient, hessian = derivatives.input_gradient(V, z, y), derivatives.hessian(V, z)
    return Case(V, z, y, gradient, hessian, torch.ones_like(z[:, 0]))


def written_down(V: list[list[float]], z: list[float]) -> Case:
    """One instance with label 0: for sharpness and for limits."""
    double = torch.float64
    return closed_form(torch.tensor([V], dtype=double), torch.tensor([z], dtype=double), torch.tensor([0]))


def random_case(
    draw: Draw, classes: int, *, correct: bool = True, inputs: int = 5, high: float = 30.0
) -> Case:
    """Random bare instances. ξ stays clear of 0, where log K − L cancels."""
    return closed_form(*draw.instances(classes, correct=correct, inputs=inputs, low=0.3, high=high))


def network_cases(draw: Draw, classes: int, *, correct: bool = True) -> list[Case]:
    """Random and trained networks; ∇ and H by autograd. `correct` leaves out the misclassified."""
    cases = []
    for s in draw.samples(classes):
        keep = torch.ones_like(s.y, dtype=torch.bool)
        if correct:
            keep = probability.correctly_classified(s.map.z, s.y)
        parts = (s.map.V, s.map.z, s.y, s.autograd.gradient, s.autograd.hessian, s.noise)
        cases.append(Case(*(part[keep] for part in parts)))
    return cases


# --- checks ----------------------------------------------------------------------------

Excess = Callable[..., Tensor]
"""A function of a case, (T,) or scalar: by how much the statement is violated. Further arguments have defaults."""


@dataclass(frozen=True)
class Sampling:
    """Which instances a check runs over.

    Attributes:
        classes: the numbers of classes K, one after the other.
        correct: only correctly classified instances; otherwise any label.
        inputs, high: n and the logits' largest scale, of random instances.
    """

    classes: tuple[int, ...] = CLASSES
    correct: bool = True
    inputs: int = 5
    high: float = 30.0


CORRECT_ONLY = Sampling()
MISTAKES_TOO = Sampling(correct=False)
TWO_CLASSES = Sampling(classes=(2,))
THREE_OR_MORE = Sampling(classes=(3, 4, 5, 10))


def over_random(excess: Excess, sampling: Sampling = CORRECT_ONLY) -> Callable[[Draw], Tensor]:
    """The excess over bare instances of every K in turn, the trials shared out evenly."""

    def over_classes(draw: Draw) -> Tensor:
        share = Draw(max(1, draw.trials // len(sampling.classes)), draw.seed, draw.device)
        cases = (
            random_case(share, K, correct=sampling.correct, inputs=sampling.inputs, high=sampling.high)
            for K in sampling.classes
        )
        return torch.cat([excess(case).flatten() for case in cases])

    return over_classes


def over_networks(excess: Excess, sampling: Sampling = CORRECT_ONLY) -> Callable[[Draw], Tensor]:
    """The excess over networks of every K, in units of autograd's own rounding."""

    def over_classes(draw: Draw) -> Tensor:
        cases = [case for K in sampling.classes for case in network_cases(draw, K, correct=sampling.correct)]
        return torch.cat([(excess(case) / case.noise).flatten() for case in cases])

    return over_classes


def _check(
    over: Callable[[Excess, Sampling], Callable[[Draw], Tensor]],
    name: str,
    excess: Excess,
    tooth: Excess | object,
    wrong: str,
    sampling: Sampling = CORRECT_ONLY,
    tolerance: float = 1e-10,
) -> Check:
    """A check over many cases.

    Args:
        over: where they come from, `over_random` or `over_networks`.
        tooth: another excess, or a wrong second argument of the same one.
        wrong: what is wrong with it, in words.
    """
    wrong_excess = tooth if callable(tooth) else lambda case: excess(case, tooth)
    return Check(name, over(excess, sampling), over(wrong_excess, sampling), wrong, tolerance)


check_random = partial(_check, over_random)
"""A check on bare instances; see `_check`."""

check_networks = partial(_check, over_networks)
"""A check on networks, with autograd's ∇ and H; see `_check`."""


def check_both(
    name: str,
    excess: Excess,
    tooth: Excess | object,
    wrong: str,
    sampling: Sampling = CORRECT_ONLY,
    tolerance: float = 1e-10,
) -> tuple[Check, Check]:
    """`check_random` and `check_networks` with the same arguments."""
    arguments = (excess, tooth, wrong, sampling, tolerance)
    return (
        check_random(f"{name} (random instances)", *arguments),
        check_networks(f"{name} (networks, autograd)", *arguments),
    )


def check_at(
    name: str,
    excess: Callable[[float], Tensor],
    value: float,
    tooth: float,
    wrong: str,
    *,
    tolerance: float = 1e-10,
) -> Check:
    """A check without random numbers: the excess at one value, and at another as the tooth."""
    return Check(
        name,
        lambda draw: excess(value).flatten().to(draw.device),
        lambda draw: excess(tooth).flatten().to(draw.device),
        wrong,
        tolerance,
    )


def worst(*excesses: Tensor) -> Tensor:
    """The largest of several excesses, instance by instance."""
    return torch.stack(excesses).amax(dim=0)


def violation(*ascending: Tensor) -> Tensor:
    """By how much a ≤ b ≤ … fails at its worst link, relative to the link's size; negative with slack."""
    tiny = torch.finfo(ascending[0].dtype).tiny
    return worst(*((a - b) / (a.abs() + b.abs()).clamp_min(tiny) for a, b in pairwise(ascending)))


def ratio_error(value: Tensor, reference: Tensor) -> Tensor:
    """|value / reference − 1|."""
    return (value / reference - 1).abs()


# --- sums over pairs of classes --------------------------------------------------------


def distances(V: Tensor) -> Tensor:
    """‖v_i − v_j‖² for all ordered pairs: (…, K, K)."""
    return (V.unsqueeze(-1) - V.unsqueeze(-2)).square().sum(dim=-3)


def total_distance(V: Tensor) -> Tensor:
    """D = Σ_{i<j} ‖v_i − v_j‖²: (…)."""
    return 0.5 * distances(V).sum(dim=(-2, -1))


def pair_sum(case: Case) -> Tensor:
    """Σ_{i<j} p_i p_j ‖v_i − v_j‖², the right-hand side of Eq. (35), which is tr H: (T,)."""
    p = torch.softmax(case.z, dim=-1)
    return 0.5 * (p.unsqueeze(-1) * p.unsqueeze(-2) * distances(case.V)).sum(dim=(-2, -1))


# --- the quadratic model and its radius ------------------------------------------------


def largest_gain(case: Case, radius: Tensor, *, box: bool = False, steps: int = 40) -> Tensor:
    """The quadratic model's largest gain ∇ᵀr + rᵀHr/2 on a ball or box: (T,).

    The model is convex, so its maximum is on the sphere or at a corner. Corners are tried one
    by one up to n = 8. Otherwise we climb: stepping to the point of the ball (or the corner)
    that the slope points at never goes down. The climb's end is a true value of the model, so
    a radius whose ball holds a gain above ξ is no lower bound.
    """
    if box and case.gradient.shape[-1] <= 8:
        linear, curved = corner_values(case)
        gains = radius.unsqueeze(-1) * linear + 0.5 * radius.square().unsqueeze(-1) * curved
        return gains.amax(dim=-1)

    def extreme(slope: Tensor) -> Tensor:
        unit = slope.sign() if box else slope / length(slope).unsqueeze(-1)
        return radius.unsqueeze(-1) * unit

    r = extreme(case.gradient)
    for _ in range(steps):
        r = extreme(case.model_gradient(r))
    return case.gain(r)


def corner_values(case: Case) -> tuple[Tensor, Tensor]:
    """|∇ᵀs| and sᵀHs at one of each pair ±s of the unit box's corners: (T, 2^{n−1}) each."""
    n = case.gradient.shape[-1]
    bits = torch.arange(2 ** (n - 1), device=case.z.device).unsqueeze(-1)
    signs = 1.0 - 2.0 * ((bits >> torch.arange(n, device=case.z.device)) & 1).to(case.z)
    curved = torch.einsum("sa,...ab,sb->...s", signs, case.hessian, signs)
    return (case.gradient @ signs.T).abs(), curved


def corner_radius(case: Case) -> Tensor:
    """‖r̃*‖_∞ exactly, by trying every corner: a convex model is largest on a box at one. (T,)."""
    linear, curved = corner_values(case)
    return taylor_radius.positive_root(linear, curved, case.xi.unsqueeze(-1)).amin(dim=-1)


def reach_along(case: Case, direction: Tensor) -> Tensor:
    """The t > 0 at which the step t·direction (T, n), uphill, gains ξ: (T,)."""
    return taylor_radius.positive_root(
        (case.gradient * direction).sum(dim=-1), case.quadratic_form(direction), case.xi
    )


def overshoot(case: Case, radius: Tensor, *, box: bool = False) -> Tensor:
    """By how much a step within `radius` exceeds ξ, relative to ξ: no lower bound if positive."""
    return (largest_gain(case, radius, box=box) - case.xi) / case.xi


def shortfall(case: Case, step: Tensor) -> Tensor:
    """By how much the gain of a step (T, n) stays below ξ, relative to ξ."""
    return (case.xi - case.gain(step)) / case.xi


def within(radius: Callable[[Case], Tensor], *, box: bool = False) -> Excess:
    """The excess that finds out whether a radius (T,), or a multiple of it, is a lower bound."""
    return lambda case, stretch=1.0: overshoot(case, stretch * radius(case), box=box)
