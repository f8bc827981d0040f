"""Certificates in numbers: attacks within what does not certify, and valid certificates on networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from regrob import networks
from regrob.affine.local_map import local_map
from regrob.certificates import (
    AffineCertificates,
    affine_certificates,
    certified_radius,
    distance_to_mistake,
    edge_distance,
)
from regrob.claims import groups
from regrob.claims.check import Check
from regrob.claims.combinators import check, check_at, check_both
from regrob.claims.comparisons import violation, worst
from regrob.claims.groups import Groups, joined
from regrob.claims.instances import Draw, Instance, fit_clouds, written_down
from regrob.claims.samplings import CLASSES
from regrob.errors import InputError
from regrob.theory import bounds, derivatives, probability, taylor_radius
from regrob.theory.margin import margin_l2

# --- small networks whose nearest mistake is known exactly -----------------------------


class Measured(NamedTuple):
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


@lru_cache(maxsize=8)
def measured(classes: int, seed: int, *, count: int = 6) -> Measured:
    """Points of `count` ReLU networks 2-6-5-K with biases, every other one trained."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for i in range(count):
        network = networks.mlp((2, 6, 5, classes), generator=generator).double()
        networks.scatter_biases(network, 0.6, generator)
        if i % 2:
            centres = torch.rand(classes, 2, generator=generator, dtype=torch.float64) * 2 - 1
            fit_clouds(network, centres, generator, spread=0.25, batch=32, steps=60, rate=0.1)
        points = torch.rand(3, 2, generator=generator, dtype=torch.float64) * 2 - 1
        V, z = local_map(network, points)
        y = z.argmax(dim=1)
        certified = certified_radius(network, points, y)
        edge = edge_distance(network, points)
        margin = margin_l2(V, z, y)
        taylor = torch.zeros_like(margin)
        if classes == 2:
            defined = taylor_radius.has_taylor_radius(V, z, y)
            taylor[defined] = taylor_radius.radius_l2(V[defined], z[defined], y[defined])
        for j, point in enumerate(points):
            try:
                exact = distance_to_mistake(network, point, int(y[j]), low=-4.0, high=4.0)
            except InputError:  # the nearest mistake lies outside the square
                continue
            if math.isfinite(exact):
                rows.append(torch.stack([exact, margin[j], edge[j], taylor[j], certified[j]]))
    return Measured(*torch.stack(rows).T)


def certified(points: Measured) -> Tensor:
    """What the ledger certifies."""
    return points.certified


def against_nearest_mistake(
    name: str, classes: int, *, wrong: Callable[[Measured], Tensor], mistake: str
) -> Check:
    """No certified radius exceeds the distance to the nearest mistake; the radius `wrong` does."""

    def excess(draw: Draw, radius: Callable[[Measured], Tensor] = certified) -> Tensor:
        points = measured(classes, draw.seed % 2)
        return (radius(points) - points.exact) / points.exact

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
    points = [(groups.of(K), measured(K, seed)) for K in (2, 3) for seed in range(2)]
    return joined(
        [(K, ((m.exact - m.margin).abs() / m.exact)[(m.margin <= m.edge) == inside]) for K, m in points]
    )


POLYTOPE = (
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
    "remark-formal-guarantee-polytope": POLYTOPE,
    "remark-threshold-log-k": LOG_K,
    "thm-affine-certificates": CHAIN,
    "thm-smooth-certificate": SMOOTH,
    "thm-network-certificate": NETWORK,
    "thm-many-classes-either-side": EITHER,
}
"""The checks of each claim, by its id."""
