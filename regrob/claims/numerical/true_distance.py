"""The true distance in numbers: each bound as the package computes it, against truths of small networks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from regrob.affine import relu_layers
from regrob.affine.rectified import Clamped
from regrob.certificates import (
    LocalNetwork,
    Search,
    cross_lipschitz_radius,
    edge_distance,
    linear_bounds,
    linear_radius,
    local_network,
    operand_bounds,
    semidefinite_bound,
)
from regrob.certificates.relaxation import clamped_lines
from regrob.certificates.semidefinite import Multipliers, proved
from regrob.claims import groups
from regrob.claims.check import Check
from regrob.claims.combinators import check, on_networks
from regrob.claims.comparisons import worst
from regrob.claims.groups import Groups, joined
from regrob.claims.instances import Draw, Sample
from regrob.claims.numerical.certificates import TWINS, Plane, planes

TWO_AND_THREE = (2, 3)

MORE = 1.02
"""What is certified, times this, is more than two per cent beyond it, and must be caught."""

KINDS_OF_CHAINS = tuple(kind for kind, (slope, _) in TWINS.items() if slope == 0.0)
"""Networks of the plane that are, as MLPs, chains of affine maps and ReLUs."""


def in_the_plane(draw: Draw, kinds: tuple[str, ...], count: int) -> Iterator[tuple[str, Plane]]:
    """Networks with two inputs and the names of their groups: of each kind `count`, every thousand trials."""
    for K, kind, seed in itertools.product(TWO_AND_THREE, kinds, range(max(1, draw.trials // 1000))):
        for plane in [plane for plane in planes(K, seed, kind) if len(plane.points)][:count]:
            yield groups.of(K, kind), plane


# --- the lines around a ReLU ---------------------------------------------------------------

SLOPES = {"ReLU": 0.0, "leaky ReLU": 0.2}


def ranges(draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
    """l < 0 < u of many scales, and shares between 0 and 1: each (T, 1)."""
    below, above = torch.exp(4 * draw.normal(2, draw.trials, 1))
    return -below, above, draw.uniform(draw.trials, 1, stream=1)


def bend(slope: float, like: Tensor) -> Clamped:
    """A leaky ReLU, as the package takes one apart: slope t + (1 − slope) max(0, t)."""
    return Clamped(*(torch.full_like(like[:1, 0], part) for part in (slope, 1 - slope, 0.0, math.inf)))


def lines_excess(draw: Draw, steepness: float = 1.0) -> Groups:
    """By how much the bend is outside of its lines, at both ends and between, as a share of u − l."""
    lower, upper, share = ranges(draw)
    at = lower + (upper - lower) * draw.uniform(draw.trials, 1, stream=2)
    between = lower + (upper - lower) * draw.uniform(draw.trials, 5, stream=3)
    excesses = {}
    for name, slope in SLOPES.items():
        kind = bend(slope, at)
        lines = clamped_lines(kind, lower, upper, at, torch.zeros_like(at), share)
        a = torch.cat([lower, upper, between], dim=1)
        low = kind.values(at) + lines.lower_slope * (a - at) + lines.lower_gap
        high = kind.values(at) + steepness * lines.upper_slope * (a - at) + lines.upper_gap
        excesses[name] = torch.maximum(low - kind.values(a), kind.values(a) - high) / (upper - lower)
    return excesses


def best_gap_error(draw: Draw, factor: float = 1.0) -> Tensor:
    """The chord's gap at 0, and that of its parallel through the corner at l and u, less −lu/(u − l), over u − l."""
    lower, upper, _ = ranges(draw)
    zero, relu = torch.zeros_like(lower), bend(0.0, lower)
    parallel = clamped_lines(relu, lower, upper, zero, zero, upper / (upper - lower))
    gaps = [parallel.upper_gap - parallel.lower_gap]
    gaps += [relu.values(a) - parallel.lower_slope * a for a in (lower, upper)]
    best = -factor * lower * upper / (upper - lower)
    return worst(*((gap - best).abs() / (upper - lower) for gap in gaps))


RELAXATION = (
    check("a bend is between its lines", lines_excess, wrong=0.99, mistake="a chord one per cent flatter"),
    check("both best gaps are −lu/(u − l)", best_gap_error, wrong=1.01, mistake="one per cent more"),
)

# --- linear bounds -------------------------------------------------------------------------

DUALS = {1.0: math.inf, 2.0: 2.0, math.inf: 1.0}
"""The dual of each norm."""


def differences(sample: Sample) -> tuple[Tensor, Tensor]:
    """v_y − v_j (N, n, K) and z_y − z_j (N, K) at a sample's images."""
    V, z = sample.map
    own = sample.y[:, None]
    return V.gather(2, own[:, None].expand(-1, V.shape[1], 1)) - V, z.gather(1, own) - z


@lru_cache(maxsize=128)
def edge(sample: Sample) -> Tensor:
    """How far each image is from its polytope's edge: (N,)."""
    return edge_distance(sample.network, sample.images)


@lru_cache(maxsize=128)
def bounds_within_the_piece(sample: Sample) -> list[tuple[float, Tensor, Tensor]]:
    """Dual norm q, radii (N,) of balls in which no unit switches, and the bounds there (N, K)."""
    pieces = []
    for norm, dual in DUALS.items():
        inside = sample.map.V.shape[1] ** -0.5 if norm == math.inf else 1.0  # of the ℓ2 ball
        radius = 0.5 * inside * edge(sample)
        bounds = linear_bounds(
            sample.network, sample.images, sample.y, radius, norm=norm, box=None, check=False
        )
        pieces.append((dual, radius, bounds))
    return pieces


def within_the_piece(sample: Sample, more: float = 1.0) -> Tensor:
    """Where no unit can switch the bound is z_y − z_j − r‖v_y − v_j‖_*: its error, as a share of the logits."""
    columns, leads = differences(sample)
    rivals = torch.arange(leads.shape[1]).to(sample.y) != sample.y[:, None]
    errors = []
    for dual, radius, bounds in bounds_within_the_piece(sample):
        exact = leads - more * radius[:, None] * torch.linalg.vector_norm(columns, ord=dual, dim=1)
        errors.append((bounds - exact)[rivals].abs() / sample.map.z.abs().max())
    return torch.cat(errors)


@lru_cache(maxsize=128)
def bounds_across_the_edge(sample: Sample) -> Tensor:
    """In balls beyond the polytope, where units switch: bounds less margins that a point of the ball has.

    As a share of r‖v_y − v_j‖, by which an affine margin would fall.
    """
    columns, leads = differences(sample)
    rivals = torch.arange(leads.shape[1]).to(sample.y) != sample.y[:, None]
    lengths = torch.linalg.vector_norm(columns, dim=1)
    downhill = -columns / lengths[:, None].clamp_min(torch.finfo(lengths.dtype).tiny)
    excesses = []
    for reach in (1.1, 3.0):
        radius = reach * edge(sample)
        bounds = linear_bounds(sample.network, sample.images, sample.y, radius, box=None, check=False)
        points = sample.images.flatten(1)[..., None] + radius[:, None, None] * downhill
        with torch.no_grad():
            z = sample.network(points.mT.reshape(-1, *sample.images.shape[1:]))
        z = z.view(len(radius), leads.shape[1], -1)  # point, class
        there = (z.gather(2, sample.y[:, None, None].expand(-1, z.shape[1], 1)) - z).amin(dim=1)
        fall = radius[:, None] * lengths
        excesses.append(((bounds - there) / fall)[rivals & (fall > 0)])
    return torch.cat(excesses)


def across_the_edge(sample: Sample, more: float = 0.0) -> Tensor:
    """The same, with `more` added to the bounds."""
    return bounds_across_the_edge(sample) + more


def radius_excess(draw: Draw, more: float = 1.0) -> Groups:
    """The radius that linear bounds certify against the exact distance."""
    return joined(
        [
            (group, more * linear_radii(plane) / plane.exact - 1.0)
            for group, plane in in_the_plane(draw, tuple(TWINS), count=2)
        ]
    )


@lru_cache(maxsize=256)
def linear_radii(plane: Plane) -> Tensor:
    """Of each point."""
    return linear_radius(
        plane.twins.network,
        plane.points,
        plane.labels,
        box=None,
        trials=16,
        tolerance=1e-6,
        check=False,
    )


def plain(sample: Sample) -> bool:
    """Whether all weights are as drawn, with biases."""
    return not sample.head and "without" not in sample.name


LINEAR = (
    check(
        "where no unit can switch the bound is exact, in three norms",
        on_networks(within_the_piece, *TWO_AND_THREE, only=plain),
        wrong=1.01,
        mistake="a dual norm one per cent larger",
    ),
    check(
        "beyond the polytope no margin in the ball is below the bound",
        on_networks(across_the_edge, *TWO_AND_THREE, only=plain),
        wrong=0.02,
        mistake="a bound higher by two per cent of what the ball takes off",
    ),
    check(
        "the certified radius against the exact distance",
        radius_excess,
        wrong=MORE,
        mistake="two per cent more",
    ),
)

# --- the guarantee from a local cross-Lipschitz constant ------------------------------------


@lru_cache(maxsize=256)
def guaranteed(plane: Plane) -> Tensor:
    """Of each point, with proved bounds on the local constants."""
    radius: Tensor = cross_lipschitz_radius(plane.twins.as_mlp, plane.points, plane.labels, box=None)
    return radius


def guarantee_excess(draw: Draw, more: float = 1.0) -> Groups:
    """Hein and Andriushchenko's guarantee, as the package bounds the constants, against the exact distance."""
    return joined(
        [
            (group, more * guaranteed(plane) / plane.exact - 1.0)
            for group, plane in in_the_plane(draw, KINDS_OF_CHAINS, count=2)
        ]
    )


GUARANTEE = (
    check(
        "the guarantee against the exact distance",
        guarantee_excess,
        wrong=MORE,
        mistake="two per cent more",
    ),
)

# --- the Lagrangian's lower bound -----------------------------------------------------------

BEYOND = 1.001
"""A ball this much larger than the exact distance has the nearest mistake inside."""


def local_networks(plane: Plane) -> Iterator[list[LocalNetwork]]:
    """Of each point: the network on a ball that has the nearest mistake inside, for each rival."""
    network, layers = plane.twins.as_mlp, relu_layers(plane.twins.as_mlp, plane.points)
    for point, label, exact in zip(plane.points, plane.labels.tolist(), plane.exact.tolist(), strict=True):
        radius = BEYOND * exact
        heights = operand_bounds(network, point[None], radius, box=None, check=False)
        lower, upper = ([getattr(bounds, side)[0] for bounds in heights] for side in ("lower", "upper"))
        yield [
            local_network(layers, point, lower, upper, label=label, rival=rival, radius=radius, box=None)
            for rival in range(len(layers.biases[-1]))
            if rival != label
        ]


@lru_cache(maxsize=256)
def dual_bounds(plane: Plane, seed: int) -> Tensor:
    """The least of the rivals' dual bounds, at the best multipliers and at others around them: (P, 3)."""
    least = []
    generator = torch.Generator().manual_seed(seed)
    for rivals in local_networks(plane):
        best = [semidefinite_bound(local) for local in rivals]
        distances = [min(bound.distance for bound in best)]
        for _ in range(2):
            others = [around(bound.multipliers, generator) for bound in best]
            distances.append(min(map(proved, rivals, others)))
        least.append(torch.tensor(distances, dtype=torch.float64))
    return torch.stack(least)


def dual_excess(draw: Draw, more: float = 1.0) -> Groups:
    """The bounds of the best multipliers, and of others, against the exact distance."""
    return joined(
        [
            (group, more * dual_bounds(plane, draw.seed) / plane.exact[:, None] - 1.0)
            for group, plane in in_the_plane(draw, KINDS_OF_CHAINS, count=2)
        ]
    )


def around(multipliers: Multipliers, generator: torch.Generator) -> Multipliers:
    """Each multiplied by its own random factor around one."""
    factors = (torch.randn(len(part), generator=generator, dtype=torch.float64) for part in multipliers)
    return Multipliers(
        *(part * (0.3 * factor).exp().numpy() for part, factor in zip(multipliers, factors, strict=True))
    )


DUALITY = (
    check(
        "the bounds of any multipliers against the exact distance",
        dual_excess,
        wrong=MORE,
        mistake="two per cent more",
    ),
)

# --- branch and bound -----------------------------------------------------------------------


@lru_cache(maxsize=256)
def history(plane: Plane) -> tuple[Tensor, Tensor, Tensor]:
    """Of the first point: the exact distance, and what was certified and found after each round of the search."""
    layers = relu_layers(plane.twins.as_mlp, plane.points)
    search = Search(layers, plane.points[0], int(plane.labels[0]), box=None, batch=2)
    certified, found = [search.certified], [search.found]
    while search.advance(nodes=1) == "nodes":
        certified.append(search.certified)
        found.append(search.found)
    intervals = torch.tensor([[*certified, search.certified], [*found, search.found]], dtype=torch.float64)
    return plane.exact[0], *intervals


def interval_excess(draw: Draw, more: float = 1.0) -> Groups:
    """After each round: how far the exact distance is outside of what is certified and found."""
    return joined(
        [
            (group, torch.maximum(more * certified / exact, exact / found) - 1.0)
            for group, plane in in_the_plane(draw, KINDS_OF_CHAINS, count=1)
            for exact, certified, found in [history(plane)]
        ]
    )


def fall(draw: Draw, sign: int = 1) -> Groups:
    """By how much less, or more where the sign is −1, is certified after each round, over the exact distance."""
    return joined(
        [
            (group, -sign * certified.diff() / exact)
            for group, plane in in_the_plane(draw, KINDS_OF_CHAINS, count=1)
            for exact, certified, _ in [history(plane)]
        ]
    )


SEARCH = (
    check(
        "the exact distance is in the interval after each round",
        interval_excess,
        wrong=MORE,
        mistake="two per cent more certified",
    ),
    check(
        "what is certified never falls",
        fall,
        wrong=-1,
        mistake="the rounds backwards",
    ),
)

CHECKS: dict[str, tuple[Check, ...]] = {
    "thm-relu-relaxation": RELAXATION,
    "thm-linear-bounds": LINEAR,
    "thm-local-cross-lipschitz": GUARANTEE,
    "thm-quadratic-duality": DUALITY,
    "thm-branch-and-bound": SEARCH,
}
"""The checks of each claim, by its id."""
