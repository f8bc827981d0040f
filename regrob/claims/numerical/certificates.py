"""Certificates in numbers: attacks within what does not certify, and valid certificates on networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob import networks
from regrob.affine.local_map import local_map
from regrob.certificates import (
    AffineCertificates,
    affine_certificates,
    certified_radius,
    distances_to_mistakes,
    edge_distance,
)
from regrob.claims import groups
from regrob.claims.check import Check
from regrob.claims.combinators import check, check_at, check_both
from regrob.claims.comparisons import violation, worst
from regrob.claims.groups import Groups, joined
from regrob.claims.instances import Draw, Instance, fit_clouds, unit, written_down
from regrob.claims.numerical.lemma_3_1 import nearest_rival
from regrob.claims.samplings import CLASSES
from regrob.errors import InputError
from regrob.theory import bounds, derivatives, probability, taylor_radius
from regrob.theory.margin import margin_l2

# --- small networks whose nearest mistake is known exactly -----------------------------


class PlanePoints(NamedTuple):
    """Points of networks with two inputs: each field (P,).

    Attributes:
        exact: distance to the nearest mistake of the network itself, by cutting the plane.
        margin: d, of the affine classifier around the point.
        edge: dist(x, ∂Q(x)).
        taylor: ‖r*‖₂ of Proposition 3.1, zero where that is undefined.
        certified: `certified_radius`.
    """

    exact: Tensor
    margin: Tensor
    edge: Tensor
    taylor: Tensor
    certified: Tensor


class Twins(NamedTuple):
    """One function twice: with the layers that a check is about, and as an MLP, which can be cut exactly."""

    network: nn.Sequential
    as_mlp: nn.Sequential


def affine_layer(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A linear layer with these numbers."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def linear_layers(network: nn.Sequential) -> list[nn.Linear]:
    """Its linear layers, in their order."""
    return [layer for layer in network if isinstance(layer, nn.Linear)]


def relu_twins(network: nn.Sequential) -> Twins:
    """Of an MLP."""
    return Twins(network, network)


def max_pool_twins(network: nn.Sequential) -> Twins:
    """The first activation replaced by a maximum of units two by two: max(a, b) = σ(a − b) + σ(b) − σ(−b)."""
    first, second, last = linear_layers(network)
    a, b = (affine_layer(first.weight[i::2], first.bias[i::2]) for i in range(2))
    apart = affine_layer(
        torch.cat([a.weight - b.weight, b.weight, -b.weight]), torch.cat([a.bias - b.bias, b.bias, -b.bias])
    )
    pooled = second.weight[:, ::2]
    joined_again = affine_layer(torch.cat([pooled, pooled, -pooled], dim=1), second.bias)
    pool = [nn.Unflatten(1, (1, first.out_features)), nn.MaxPool1d(2), nn.Flatten()]
    return Twins(
        nn.Sequential(first, *pool, affine_layer(pooled, second.bias), nn.ReLU(), last),
        nn.Sequential(apart, nn.ReLU(), joined_again, nn.ReLU(), last),
    )


def skip_twins(network: nn.Sequential) -> Twins:
    """Units h ≥ 0 added to what two layers make of them: as an MLP, h = σ(h) goes along with the units between."""
    first, second, last = linear_layers(network)
    back = affine_layer(second.weight.T.flip(0), first.bias)
    head = affine_layer(last.weight @ second.weight, last.bias)
    identity = torch.eye(first.out_features, dtype=torch.float64)
    along = affine_layer(
        torch.cat([second.weight, identity]), functional.pad(second.bias, (0, len(identity)))
    )
    added = affine_layer(torch.cat([back.weight, identity], dim=1), back.bias)
    body = nn.Sequential(second, nn.ReLU(), back)
    return Twins(
        nn.Sequential(first, nn.ReLU(), networks.Residual(body), nn.ReLU(), head),
        nn.Sequential(first, nn.ReLU(), along, nn.ReLU(), added, nn.ReLU(), head),
    )


TWINS: dict[str, tuple[float, Callable[[nn.Sequential], Twins]]] = {
    "MLP": (0.0, relu_twins),
    "leaky MLP": (0.2, relu_twins),
    "max-pool": (0.0, max_pool_twins),
    "skip connection": (0.0, skip_twins),
}
"""Kinds of networks, by the slope of the MLP that they are made of and what is made of it."""


class Plane(NamedTuple):
    """A network with two inputs, and P points whose nearest mistake is known exactly.

    Attributes:
        twins: the network.
        points, labels: (P, 2) and (P,), all classified correctly.
        exact: (P,), distance to the nearest mistake of the network itself, by cutting the plane.
    """

    twins: Twins
    points: Tensor
    labels: Tensor
    exact: Tensor


@lru_cache(maxsize=64)
def planes(classes: int, seed: int, kind: str, *, count: int = 3) -> tuple[Plane, ...]:
    """Networks of layers 2-6-5-K with biases, the second one trained; of each second point a mistake is near."""
    generator = torch.Generator().manual_seed(seed)
    slope, twins_of = TWINS[kind]
    made = []
    for i in range(count):
        network = networks.mlp((2, 6, 5, classes), slope=slope, generator=generator).double()
        networks.scatter_biases(network, 0.6, generator)
        if i == 1:
            centres = torch.rand(classes, 2, generator=generator, dtype=torch.float64) * 2 - 1
            fit_clouds(network, centres, generator, spread=0.25, batch=32, steps=60, rate=0.1)
        twins = twins_of(network)
        points = torch.rand(2, 2, generator=generator, dtype=torch.float64) * 2 - 1
        for turn in range(3):  # the second point goes nearly to a boundary, where its ball stays inside Q(x)
            V, z = local_map(twins.network, points, check=turn == 0)
            y = z.argmax(dim=1)
            step = margin_l2(V, z, y)[1] * unit(nearest_rival(V, z, y)[1])
            points[1] += 0.9 * step.nan_to_num(0.0)  # NaN where all units are off
        y = local_map(twins.network, points, check=False).z.argmax(dim=1)
        try:
            exact = distances_to_mistakes(twins.as_mlp, points, y, low=-4.0, high=4.0)
        except InputError:  # the nearest mistake of one of them lies outside the square
            continue
        known = exact.isfinite()
        made.append(Plane(twins, points[known], y[known], exact[known]))
    return tuple(made)


@lru_cache(maxsize=64)
def measured(classes: int, seed: int, kind: str) -> PlanePoints:
    """The points of `planes`, measured."""
    rows = []
    for twins, points, y, exact in planes(classes, seed, kind):
        if not len(points):
            continue
        V, z = local_map(twins.network, points, check=False)
        margin = margin_l2(V, z, y)
        taylor = torch.zeros_like(margin)
        if classes == 2:
            defined = taylor_radius.has_taylor_radius(V, z, y)
            taylor[defined] = taylor_radius.radius_l2(V[defined], z[defined], y[defined])
        edge, certified = edge_distance(twins.network, points), certified_radius(twins.network, points, y)
        rows.append(torch.stack([exact, margin, edge, taylor, certified]))
    return PlanePoints(*torch.cat(rows, dim=1))


def measured_by_kind(draw: Draw, *classes: int) -> Iterator[tuple[str, PlanePoints]]:
    """Groups of points with their names: two sets whatever the seed, and one for every thousand trials more."""
    sets = max(2, draw.trials // 1000)
    for K in classes:
        for kind in TWINS:
            for seed in range(sets):
                yield groups.of(K, kind), measured(K, seed, kind)


def certified(points: PlanePoints) -> Tensor:
    """What the ledger certifies."""
    return points.certified


def against_nearest_mistake(
    name: str, classes: int, *, wrong: Callable[[PlanePoints], Tensor], mistake: str
) -> Check:
    """No certified radius exceeds the distance to the nearest mistake; the radius `wrong` does."""

    def excess(draw: Draw, radius: Callable[[PlanePoints], Tensor] = certified) -> Groups:
        each = measured_by_kind(draw, classes)
        return joined([(group, (radius(points) - points.exact) / points.exact) for group, points in each])

    return check(name, excess, wrong=wrong, mistake=mistake)


# --- "a formal guarantee" --------------------------------------------------------------


GUARANTEE = (
    against_nearest_mistake(
        "min(d, dist(x, ∂Q)) against the exact nearest mistake, K = 2",
        2,
        wrong=lambda points: points.taylor,
        mistake="the Taylor radius",
    ),
)


def margin_error(draw: Draw, inside: bool = True) -> Groups:
    """Where the ball of radius d stays in Q(x), or does not: is d the network's own distance?"""
    each = measured_by_kind(draw, 2, 3)
    return joined(
        [(group, ((m.exact - m.margin).abs() / m.exact)[(m.margin <= m.edge) == inside]) for group, m in each]
    )


INSIDE = (
    check(
        "d is the exact distance where its ball stays inside Q(x)",
        margin_error,
        wrong=False,
        mistake="balls that leave Q(x)",
    ),
)

# --- the threshold log K ---------------------------------------------------------------


def threshold_excess(draw: Draw, base: int | None = 2) -> Groups:
    """Random logits: below log `base` (log K if None) the label must lead, above log K it must not."""
    excesses = {}
    for K in CLASSES:
        share = Draw(max(50, draw.trials // len(CLASSES)), draw.seed, draw.device)
        _, z, y = share.instances(K, correct=False, low=0.1)
        own = z.gather(-1, y.unsqueeze(-1)).squeeze(-1)
        rival = z.scatter(-1, y.unsqueeze(-1), -torch.inf).amax(dim=-1)
        lead = (own - rival) / z.abs().amax(dim=-1)
        safe = probability.slack(z, y, threshold=math.log(base or K)) > 0
        refuted = probability.slack(z, y) < 0
        excesses[groups.of(K)] = torch.where(safe, -lead, torch.where(refuted, lead, -1.0))
    return excesses


LOG_K = (
    check(
        "random logits, K from 2 to 10",
        threshold_excess,
        wrong=None,
        mistake="log K on both sides",
        blunt={groups.of(2): "log K is log 2"},
    ),
)

# --- valid certificates ----------------------------------------------------------------


def radii(case: Instance) -> AffineCertificates:
    """Each field (T,)."""
    return affine_certificates(case.V, case.z, case.y)


def chain_excess(case: Instance, factor: float = 1.0) -> Tensor:
    """The violations of the three links, each left side times `factor`; equality at K = 2, m the gap itself."""
    r = radii(case)
    chain = pairwise((r.cross_lipschitz, r.spectral, r.pairs, r.margin))
    links = [violation(factor * left, right) for left, right in chain]
    if case.K == 2:
        links = [link.abs() for link in links]
    return worst(*(link.nan_to_num(0.0) for link in links))  # 0/0: nothing certified, nothing violated


CHAIN = check_both("the chain's three links", chain_excess, 1.01, "one per cent more on each left side")


def local_smooth_excess(case: Instance) -> Tensor:
    """The smooth radius with the curvature at x itself, a Taylor radius, against d."""
    xi = probability.slack(case.z, case.y, threshold=math.log(2.0)).clamp_min(0.0)
    taylor = taylor_radius.positive_root(case.gradient_norm, derivatives.curvature(case.V, case.z), xi)
    return violation(taylor, radii(case).margin)


SMOOTH = check_both(
    "the smooth radius against d",
    lambda c: violation(radii(c).smooth, radii(c).margin),
    local_smooth_excess,
    "the curvature at x",
)

NETWORK = tuple(
    against_nearest_mistake(
        f"the exact nearest mistake of random and trained networks, K = {K}",
        K,
        wrong=lambda points: points.margin,
        mistake="d alone",
    )
    for K in (2, 3)
)

# --- many classes: the Taylor radius may err on either side ----------------------------


def taylor_over_margin(x: float) -> Tensor:
    """The package's own bracket, which is exact here, less its margin."""
    V, z, y = written_down([[1.0, 0.0, 0.0]], [x, 0.0, 0.0])
    return bounds.radius_l2_bracket(V, z, y).upper - margin_l2(V, z, y)


EITHER = (
    check_at(
        "in float64: shorter than d at log 6/5",
        taylor_over_margin,
        math.log(1.2),
        math.log(8.0),
        "at log 8, where it is longer",
    ),
)


CHECKS: dict[str, tuple[Check, ...]] = {
    "remark-formal-guarantee": GUARANTEE,
    "remark-threshold-log-k": LOG_K,
    "thm-affine-certificates": CHAIN,
    "thm-smooth-certificate": SMOOTH,
    "thm-network-certificate": (*INSIDE, *NETWORK),
    "thm-many-classes-either-side": EITHER,
}
"""The checks of each claim, by its id."""
