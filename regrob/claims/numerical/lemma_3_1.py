"""Lemma 3.1 in numbers: the nearest mistake, and the two roots around the Taylor radius."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from regrob.claims import groups
from regrob.claims.check import Check
from regrob.claims.combinators import check, checked, on_networks
from regrob.claims.groups import Groups, joined
from regrob.claims.instances import Draw, Excess, Instance, Sample, model_gain, unit
from regrob.claims.numerical.proposition_3_1 import printed_radius
from regrob.theory import derivatives, probability, taylor_radius
from regrob.theory.margin import margin_l2

# --- Eq. (1): the nearest mistake ------------------------------------------------------


def nearest_rival(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """v_j − v_y for the class j whose boundary with y is nearest: (T, n)."""
    gap = z.gather(-1, y.unsqueeze(-1)) - z
    towards = V - derivatives.column(V, y)
    length = towards.norm(dim=-2)
    distance = torch.where(length > 0, gap / length, torch.inf)
    nearest = distance.scatter(-1, y.unsqueeze(-1), torch.inf).argmin(dim=-1)
    return derivatives.column(towards, nearest).squeeze(-1)


def lead_after_step(draw: Draw, stretch: float = 1 + 1e-8, lean: float = 0.0) -> Tensor:
    """The label's relative lead after a step of `stretch`·d at the nearest rival, or `lean` away from it."""
    instance = draw.instances(4)
    w, label = nearest_rival(*instance), instance.y.unsqueeze(-1)
    r = unit(unit(w) + lean * draw.normal(*w.shape, stream=1))
    moved = instance.moved(stretch * margin_l2(*instance)[:, None] * r)
    lead = moved.gather(-1, label).squeeze(-1) - moved.scatter(-1, label, -torch.inf).amax(dim=-1)
    return lead / moved.abs().amax(dim=-1)


EQ_1 = (
    check(
        "a step a hair longer than d changes the class",
        lead_after_step,
        wrong=0.99,
        mistake="a step one per cent shorter",
    ),
    check(
        "no shorter step does, in directions near the best",
        lambda draw, stretch=1.0: -lead_after_step(draw, stretch, lean=0.01),
        wrong=1.05,
        mistake="steps five per cent longer, some of which do",
    ),
)

# --- the threshold ---------------------------------------------------------------------


@checked("L < log 2 where and only where y has the larger logit", wrong=2.1, mistake="the threshold log 2.1")
def wrong_side(draw: Draw, threshold: float = 2.0) -> Tensor:
    """How far the loss is on the wrong side of log `threshold`, given which logit is the larger one."""
    instance = draw.instances(2, correct=False)
    loss = functional.cross_entropy(instance.z, instance.y, reduction="none")
    return -instance.m.sign() * (math.log(threshold) - loss)


BETA = (wrong_side,)

# --- quadratic models ------------------------------------------------------------------


class Quadratic(NamedTuple):
    """T quadratic models ξ(r) = gᵀr + rᵀHr/2 with a target ξ > 0: (T, n), (T, n, n), (T,)."""

    g: Tensor
    H: Tensor
    xi: Tensor

    def at(self, r: Tensor) -> Tensor:
        """The model's value at r (T, n): (T,)."""
        return model_gain(self.g, self.H, r)


def random_models(draw: Draw, semidefinite: bool = True) -> Models:
    """Gradients and symmetric matrices of every scale; some of rank one, some with g ⟂ u.

    Every matrix bends upwards somewhere; a semidefinite one nowhere downwards.
    """
    generator = torch.Generator().manual_seed(draw.seed)
    T, n = draw.trials, 4

    def normal(*shape: int) -> Tensor:
        return torch.randn(T, *shape, generator=generator, dtype=torch.float64)

    def scale() -> Tensor:
        return torch.exp(4 * normal(1))

    basis = torch.linalg.qr(normal(n, n)).Q
    eigenvalues = normal(n)
    if semidefinite:
        eigenvalues = eigenvalues.abs()
    else:
        eigenvalues[:, -1] = eigenvalues[:, -1].abs()  # one curved upwards, so that r* exists
    g = normal(n) * scale()
    kind = torch.randint(4, (T,), generator=generator)
    eigenvalues[kind == 0, :-1] = 0.0  # rank one
    orthogonal = g - (g * basis[..., -1]).sum(dim=-1, keepdim=True) * basis[..., -1]
    g = torch.where((kind == 1)[:, None], orthogonal, g)
    eigenvalues = eigenvalues * scale()
    H = basis @ torch.diag_embed(eigenvalues) @ basis.mT
    xi = torch.rand(T, generator=generator, dtype=torch.float64) + 1e-3
    return [("", Quadratic(g.to(draw.device), H.to(draw.device), xi.to(draw.device)))]


def classifier_model(instance: Instance) -> Quadratic:
    """A classifier's quadratic model of its loss, with β = log K: Eq. (33)."""
    xi = probability.slack(instance.z, instance.y)
    return Quadratic(instance.gradient, instance.hessian, xi)


Models = list[tuple[str, Quadratic]]
"""Quadratic models with the names of their groups."""


def classifier_models(draw: Draw, bent: bool = False) -> Models:
    """The models of random classifiers with three and five classes, or these `bent_down`."""
    models = [(groups.of(K), classifier_model(draw.instances(K, inputs=4, high=20.0))) for K in (3, 5)]
    return [(group, bent_down(model) if bent else model) for group, model in models]


def network_models(draw: Draw, bent: bool = False) -> Models:
    """The same from autograd's gradients and Hessians."""
    models = []
    for s in draw.samples(3):
        xi = probability.slack(s.map.z, s.y)
        keep = (xi > 1e-3) & probability.correctly_classified(s.map.z, s.y) & (s.noise < 1e4)
        model = Quadratic(s.autograd.gradient[keep], s.autograd.hessian[keep], xi[keep])
        models.append((groups.of(3, s.kind), bent_down(model) if bent else model))
    return models


def bounds(model: Quadratic) -> tuple[Tensor, Tensor, Tensor]:
    """Both sides of Eq. (6) in the rationalised form, and u: (T,), (T,), (T, n).

    ‖H‖₂ is the largest eigenvalue in absolute value, as the paper's symbol says.
    """
    values, vectors = torch.linalg.eigh(model.H)
    size, u = values.abs().amax(dim=-1), vectors[..., -1]
    along = (model.g * u).sum(dim=-1)
    u = u * torch.where(along < 0, -1.0, 1.0)[:, None]
    lower = taylor_radius.positive_root(model.g.norm(dim=-1), size, model.xi)
    return lower, taylor_radius.positive_root(along.abs(), size, model.xi), u


def bent_down(model: Quadratic) -> Quadratic:
    """The same models with 2.1‖H‖₂ taken off every eigenvalue but the first: a tooth's material."""
    values, vectors = torch.linalg.eigh(model.H)
    bent = values - 2.1 * values[:, -1:]
    bent[:, -1] = values[:, -1]
    return model._replace(H=vectors @ torch.diag_embed(bent) @ vectors.mT)


# --- the lower bound -------------------------------------------------------------------


def lower_bound_excess(models: Callable[[Draw], Models]) -> Excess:
    """The model at length `stretch`·(lower bound), towards g, u and near them, against ξ."""

    def of_model(draw: Draw, model: Quadratic, stretch: float) -> Tensor:
        lower, _, u = bounds(model)
        noise = draw.normal(*u.shape, stream=1)
        ahead = model.g / model.g.norm(dim=-1, keepdim=True).clamp_min(1e-300)
        beyond = []
        for r in (u, ahead + 1e-12 * u, u + ahead, noise, u + ahead + 0.3 * noise):
            r = unit(r) * (stretch * lower)[:, None]
            beyond.append((model.at(r) - model.xi) / model.xi)
        return torch.cat(beyond)

    def excess(draw: Draw, stretch: float = 1.0) -> Groups:
        return joined([(group, of_model(draw, model, stretch)) for group, model in models(draw)])

    return excess


LOWER = (
    check(
        "random symmetric H: the model stays below ξ",
        lower_bound_excess(functools.partial(random_models, semidefinite=False)),
        wrong=1.01,
        mistake="steps one per cent longer, some of which reach ξ",
    ),
    check(
        "autograd's gradients and Hessians of networks",
        lower_bound_excess(network_models),
        wrong=1.01,
        mistake="steps one per cent longer",
    ),
)

# --- the upper bound -------------------------------------------------------------------


def upper_bound_excess(models: Callable[..., Models]) -> Excess:
    """How far the model falls short of ξ after a step of the upper bound along u."""

    def of_model(model: Quadratic) -> Tensor:
        _, upper, u = bounds(model)
        scale = model.xi + model.g.norm(dim=-1) * upper  # ∇ᵀu may cancel
        shortfall: Tensor = (model.xi - model.at(u * upper[:, None])) / scale
        return shortfall

    def excess(draw: Draw, *choice: bool) -> Groups:
        return joined([(group, of_model(model)) for group, model in models(draw, *choice)])

    return excess


UPPER = (
    check(
        "random H ⪰ 0: a step of the bound along u reaches ξ",
        upper_bound_excess(random_models),
        wrong=False,
        mistake="indefinite H",
    ),
    check(
        "autograd's gradients and Hessians of networks",
        upper_bound_excess(network_models),
        wrong=True,
        mistake="the same Hessians with 2.1‖H‖₂ taken off every eigenvalue but the first",
    ),
)

MULTI = (
    check(
        "lower bound, three and five classes",
        lower_bound_excess(classifier_models),
        wrong=1.01,
        mistake="steps one per cent longer",
    ),
    check(
        "upper bound, three and five classes",
        upper_bound_excess(classifier_models),
        wrong=True,
        mistake="Hessians bent downwards",
    ),
)

# --- monotone, and equal at K = 2 ------------------------------------------------------


def growth(draw: Draw, sign: int = 1) -> Tensor:
    """By how much the root grows, relatively, as ‖∇‖₂ and ‖H‖₂ grow; `sign` −1: shrinks."""
    a, b, xi, da, db = torch.exp(3 * draw.normal(5, draw.trials))
    before, after = taylor_radius.positive_root(a, b, xi), taylor_radius.positive_root(a + da, b + db, xi)
    return sign * (after - before) / before


DECREASING = (check("larger a and b, smaller root", growth, wrong=-1, mistake="increasing"),)


def bounds_gap(draw: Draw, classes: int = 2) -> Tensor:
    """Upper bound against lower bound, from V, z and y alone."""
    lower, upper, _ = bounds(classifier_model(draw.instances(classes, high=8.0)))
    return (upper - lower) / lower


@checked(
    "both, from autograd's ∇ and H, against Proposition 3.1",
    wrong=printed_radius,
    mistake="Eq. (8) as printed",
    tolerance=1e-9,
)
@on_networks
def radius_error(s: Sample, radius: Callable[..., Tensor] = taylor_radius.radius_l2) -> Tensor:
    """Both bounds, from autograd's ∇ and H, against a closed form of the radius."""
    keep = taylor_radius.has_taylor_radius(*s.instance) & (s.noise < 1e4)
    instance = s.instance.where(keep)
    lower, upper, _ = bounds(Quadratic(instance.gradient, instance.hessian, instance.xi))
    exact = radius(*instance)
    return torch.maximum((lower - exact).abs(), (upper - exact).abs()) / exact


COLLAPSE = (check("upper bound = lower bound", bounds_gap, wrong=3, mistake="three classes"), radius_error)


CHECKS: dict[str, tuple[Check, ...]] = {
    "eq-1-deepfool": EQ_1,
    "remark-beta": BETA,
    "lemma-3.1-lower": LOWER,
    "lemma-3.1-upper": UPPER,
    "eq-33": MULTI,
    "eq-33-decreasing": DECREASING,
    "lemma-3.1-collapse": COLLAPSE,
}
"""The checks of each claim, by its id."""
