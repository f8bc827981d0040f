"""Two classes in the ℓ∞ ball in numbers: FGSM, Propositions 3.2 and 3.3 against every corner."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from regrob.claims.check import Check
from regrob.claims.combinators import check, checked, on_instances, on_networks
from regrob.claims.comparisons import relative
from regrob.claims.groups import Groups
from regrob.claims.instances import Draw, Instance, Sample, closed_form, unit
from regrob.theory import derivatives, probability, taylor_radius


def corners(n: int) -> Tensor:
    """All sign vectors of length n: (2^n, n)."""
    return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=n)), dtype=torch.float64)


def gains(instance: Instance, r: Tensor) -> Tensor:
    """∇ᵀr + rᵀHr/2 for many steps r (…, T, n) at once, without forming H: (…, T)."""
    A = derivatives.hessian_factor(instance.V, instance.z)  # rᵀHr = ‖Aᵀr‖²
    along = (A.mT @ r.unsqueeze(-1)).squeeze(-1)
    return (instance.gradient * r).sum(dim=-1) + 0.5 * along.square().sum(dim=-1)


def largest_gain(instance: Instance, radius: Tensor) -> Tensor:
    """The largest gain over the boxes of these half-widths (T,): it is convex, so at one of 2^n corners."""
    box = corners(instance.V.shape[1]).to(radius)[:, None, :] * radius[:, None]
    return gains(instance, box).amax(dim=0)


def unit_dual_norm(instance: Instance) -> Instance:
    """V rescaled to ‖v₊ − v₋‖₁ = 1, so that one ε is of the same effect on all instances."""
    V, z, y = instance
    return closed_form(V / instance.s.abs().sum(dim=-1)[:, None, None], z, y)


# --- Eq. (2): the worst loss in a box --------------------------------------------------


@checked(
    "the true loss at FGSM's corner against all 32 corners",
    wrong=3,
    mistake="three classes, where FGSM is not optimal",
)
def fgsm_shortfall(draw: Draw, classes: int = 2) -> Tensor:
    """The true loss at FGSM's corner against the worst of the box's 2^n corners."""
    instance = draw.instances(classes, correct=False, high=5.0)
    epsilon = 4 * draw.uniform(draw.trials, stream=1) / instance.V.abs().sum(dim=(1, 2))

    def loss(directions: Tensor) -> Tensor:  # (…, T, n) → (…, T)
        moved = instance.moved(directions * epsilon[:, None])
        return probability.loss(moved, instance.y.expand(moved.shape[:-1]))

    worst = loss(corners(instance.V.shape[1]).to(epsilon)[:, None, :]).amax(dim=0)
    return 1 - loss(instance.gradient.sign()) / worst


EQ_2 = (fgsm_shortfall,)

# --- Eqs. (21), (22): a constraint on one number ---------------------------------------


@checked("rᵀHr = (p/q)(∇ᵀr)² with autograd's ∇ and H", wrong=1.001, mistake="the odds to the power 1.001")
def constraint_error(draw: Draw, power: float = 1.0) -> Groups:
    """rᵀHr against (p/q)^power (∇ᵀr)² with autograd's ∇ and H."""

    def error(s: Sample) -> Tensor:
        g, H = s.autograd.gradient, s.autograd.hessian
        r = draw.normal(*g.shape) + 3 * unit(g)
        curved = (r.unsqueeze(-2) @ H @ r.unsqueeze(-1)).flatten()
        odds = torch.exp(power * s.instance.m)
        scalar = odds * (g * r).sum(dim=-1).square()
        return (curved - scalar).abs() / curved / s.noise.square()

    return draw.over_samples(error, 2)


SCALAR = (constraint_error,)

# --- Proposition 3.2 -------------------------------------------------------------------


def threshold_error(instance: Instance, radius: Callable[..., Tensor] = taylor_radius.radius_linf) -> Tensor:
    """The largest gain over the box of that radius, against ξ."""
    return (largest_gain(instance, radius(*instance)) - instance.xi).abs() / instance.xi


PROP_3_2 = (
    check(
        "the best corner of the box of that radius reaches log 2 exactly",
        on_instances(threshold_error),
        wrong=taylor_radius.radius_l2,
        mistake="the ℓ2 radius",
    ),
)


def literal_radius(V: Tensor, z: Tensor, y: Tensor, p: Tensor | None = None) -> Tensor:
    """Eq. (23) through ‖∇‖₁, with p, or p_y if None, in place of p(x)."""
    instance = closed_form(V, z, y)
    p = instance.p if p is None else p
    X = 2 * instance.p * instance.xi / instance.q
    return instance.q / (p * instance.gradient.abs().sum(dim=-1)) * (X / (torch.sqrt(1 + X) + 1))


EQ_23 = (
    check(
        "the box of that radius, with p_y",
        on_instances(lambda i, radius=literal_radius: threshold_error(i, radius)),
        wrong=lambda V, z, y: literal_radius(V, z, y, torch.softmax(z, dim=-1)[..., 0]),
        mistake="the first class's probability",
    ),
)

# --- any norm (new) --------------------------------------------------------------------


@checked(
    "ℓ_{3/2}, ℓ2, ℓ3, ℓ4: a step of that length along the dual direction",
    wrong=False,
    mistake="the norm itself in place of its dual",
)
@on_instances
def dual_step_error(instance: Instance, dual: bool = True) -> Tensor:
    """A step of norm τ/‖s‖_* along the maximiser of sᵀr reaches log 2, for four norms."""
    s, xi, uphill = instance.s, instance.xi, unit(instance.gradient)
    tau = taylor_radius.taylor_margin(instance.m)
    errors = []
    for order in (1.5, 2.0, 3.0, 4.0):
        direction = uphill.sign() * uphill.abs() ** (1 / (order - 1))
        r = direction / torch.linalg.vector_norm(direction, order, dim=-1, keepdim=True)
        size = torch.linalg.vector_norm(unit(s), order / (order - 1) if dual else order, dim=-1)
        length = tau / (size * s.norm(dim=-1))
        errors.append((gains(instance, length[:, None] * r) - xi).abs() / xi)
    return torch.cat(errors)


ANY_NORM = (dual_step_error,)

# --- Proposition 3.3: the worst case in the ball ---------------------------------------


def two_norm_eta(V: Tensor, z: Tensor, y: Tensor, epsilon: float) -> Tensor:
    """Eq. (25) with ‖·‖₂ where its norm has no subscript."""
    p, q = probability.label_probability(z, y), probability.rival_probability(z, y)
    reach = epsilon * derivatives.cross_lipschitz(V)
    return probability.loss(z, y) + q * reach + 0.5 * p * q * reach.square()


@checked("η* against the best of 32 corners, any label", wrong=two_norm_eta, mistake="the ℓ2 norm")
def worst_case_error(draw: Draw, eta: Callable[..., Tensor] = taylor_radius.worst_case_loss) -> Tensor:
    """η* against the best of the 2^n corners."""
    instance = unit_dual_norm(draw.instances(2, correct=False, high=8.0))
    errors = []
    for epsilon in (0.01, 1.0, 30.0):
        loss = probability.loss(instance.z, instance.y)
        best = loss + largest_gain(instance, torch.full_like(loss, epsilon))
        errors.append((eta(*instance, epsilon) - best).abs() / best)
    return torch.cat(errors)


@checked(
    "η* against autograd's ∇ and H at ε sign(∇)", wrong=1.01, mistake="ε one per cent larger", tolerance=1e-9
)
@on_networks
def sign_step_error(s: Sample, factor: float = 1.0) -> Tensor:
    """η* from (V, z) against ε‖∇‖₁ + ε² sign(∇)ᵀH sign(∇)/2 with autograd's ∇ and H."""
    g, epsilon = s.autograd.gradient, 0.1
    gain = s.instance.gain(epsilon * g.sign())
    eta = taylor_radius.worst_case_loss(s.map.V, s.map.z, s.y, factor * epsilon)
    claimed = eta - probability.loss(s.map.z, s.y)
    return relative((claimed - gain)[:, None], gain[:, None], axes=1) / s.noise


PROP_3_3 = (worst_case_error, sign_step_error)


@checked("each link at random r, “≤” throughout", wrong=True, mistake="“=” as printed")
def chain_excess(draw: Draw, equality: bool = False) -> Tensor:
    """By how much the links of Eq. (24) fail at a random r of the ball; the second is ≤, or “=” as printed."""
    instance = draw.instances(2, high=8.0)
    r = 2 * draw.uniform(*instance.V.shape[:-1], stream=1) - 1
    one_norm = instance.gradient.abs().sum(dim=-1)
    odds = instance.m.exp()

    def line(radius: Tensor) -> Tensor:
        return radius * one_norm + 0.5 * odds * (radius * one_norm).square()

    first, second = gains(instance, r), line(r.abs().amax(dim=-1))
    third = line(torch.ones_like(second))
    link = (second - third).abs() if equality else second - third
    return torch.maximum(first - second, link) / third


EQ_24 = (chain_excess,)

EQ_25 = (worst_case_error,)

# --- what η* does not bound (new) ------------------------------------------------------


@checked(
    "η* against the exact worst loss up to ε‖s‖₁ = 2m",
    wrong=(1.0, 30.0),
    mistake="larger ε, where a parabola overtakes a line",
)
def true_loss_excess(draw: Draw, shares: tuple[float, float] = (1e-3, 1.0)) -> Tensor:
    """η* against the true worst loss, both over ε‖s‖₁ = share·2m, with shares from this range."""
    low, high = shares
    instance = unit_dual_norm(draw.instances(2, low=0.05))
    m = instance.m
    reach = 2 * m * (low + (high - low) * draw.uniform(*m.shape, stream=1))
    eta = taylor_radius.worst_case_loss(instance.V * reach[:, None, None], instance.z, instance.y, 1.0)
    true = functional.softplus(reach - m)
    return (eta - true) / true


ETA_BELOW = (true_loss_excess,)


# --- footnote 2 ------------------------------------------------------------------------


@checked("‖r*‖_∞ against the ratio times ‖r̃*‖_∞", wrong=1.001, mistake="one per mille more")
@on_instances
def step_ratio_error(instance: Instance, factor: float = 1.0) -> Tensor:
    """The largest entry of r*, a step along ∇, against max|s|‖s‖₁/‖s‖₂² of the ℓ∞ radius."""
    r = taylor_radius.radius_l2(*instance).unsqueeze(-1) * unit(instance.gradient)
    sizes = instance.s.abs()
    ratio = sizes.amax(dim=-1) * sizes.sum(dim=-1) / sizes.square().sum(dim=-1)
    return relative(
        (r.abs().amax(dim=-1) - factor * ratio * taylor_radius.radius_linf(*instance)).unsqueeze(-1),
        r,
        axes=1,
    )


FOOTNOTE_2 = (step_ratio_error,)


CHECKS: dict[str, tuple[Check, ...]] = {
    "eq-2-fgsm": EQ_2,
    "eq-22": SCALAR,
    "prop-3.2": PROP_3_2,
    "eq-23": EQ_23,
    "remark-footnote-2": FOOTNOTE_2,
    "thm-any-norm": ANY_NORM,
    "prop-3.3": PROP_3_3,
    "eq-24": EQ_24,
    "eq-25": EQ_25,
    "thm-eta-below-true-loss": ETA_BELOW,
}
"""The checks of each claim, by its id."""
