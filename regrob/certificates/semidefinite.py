"""A lower bound on the distance to the nearest mistake, from the semidefinite dual of a local network.

The nearest mistake minimises ‖δ‖² under quadratic equations and inequalities. With n_k = h_k − a_k, the
negative part of a height,

    h_k n_k = 0,    h_k (u_k − h_k) ≥ 0,    n_k (−l_k − n_k) ≥ 0,

g(δ, h) ≤ 0 for the margin and other constraints, and δ is in the box. Each gets a multiplier: τ of any sign,
σ, ς, t, w ≥ 0. The Lagrangian

    L = ‖δ‖² + Σ τ h n − Σ σ h (u − h) − Σ ς n (−l − n) + Σ t g − Σ w (δ − low) − Σ w' (high − δ)

is at most ‖δ‖² at every mistake. Where its Hessian is positive definite, its least value is a lower bound on
‖δ‖² (Shor 1987). That h ≥ 0, n ≥ 0 and the triangle h/u − n/l ≤ 1 hold follows from these three in the
relaxation, so they need no multipliers of their own.

The least value is concave in the multipliers. It is maximised along the central path: Newton's method on it
plus μ times the logarithms of the multipliers and of the Hessian's determinant, with μ → 0. The perturbation
enters only by its inner products with the forms' rows, so that matrices have the size of the units; the box
is eliminated pixel by pixel. What comes out is not trusted: `proved` bounds the least value anew, rounding
errors included.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regrob.certificates.local_network import LocalNetwork, accumulated
from regrob.errors import InputError

Array = NDArray[np.float64]

CURVATURE = 1e-8
"""The Hessian must be at least this times the identity, in units in which its diagonal is one."""

NARROW = 0.02
"""A unit's range is taken to reach at least this far to its shorter side, as a share of the longer one."""

ROOM = 0.9
"""How far a step may go towards where a multiplier or the Hessian turns singular."""

COLD = 100.0
"""Weight of the barrier at a cold start: what it may cost of the bound, in units of the squared radius."""

WARM = 1e-2
"""Weight of the barrier at a warm start, as a share of that at a cold one."""

SHRINK = 0.1
"""What the barrier's weight is multiplied by, if the step along the central path can be taken whole."""


class Multipliers(NamedTuple):
    """Of a local network with m units, k constraints and n pixels.

    Attributes:
        complementary: τ (m,), of h n = 0.
        outputs: σ (m,), of h (u − h) ≥ 0.
        negatives: ς (m,), of n (−l − n) ≥ 0.
        constraints: t (k,).
        low, high: w, w' (n,), of the box; zero where it has no limit.
    """

    complementary: Array
    outputs: Array
    negatives: Array
    constraints: Array
    low: Array
    high: Array


class DualBound(NamedTuple):
    """What the dual found.

    Attributes:
        distance: no mistake of the set is nearer, rounded down. Beyond the radius of the set's ball it says
            that the set holds no mistake.
        step: δ (n,), where the Lagrangian is least: near the nearest mistake if the bound is tight.
        outputs: h (m,), there.
        violation: (m,), |h_k n_k| there, in units of u_k |l_k|: how far a unit is from being a ReLU.
        multipliers: what proves it.
        centre: multipliers from half-way, still far from all boundaries: a start for similar networks.
        steps: of Newton's method.
    """

    distance: float
    step: Array
    outputs: Array
    violation: Array
    multipliers: Multipliers
    centre: Multipliers
    steps: int


class _Problem:
    """A local network in the coordinates of the Newton steps; see `_least`."""

    def __init__(self, local: LocalNetwork) -> None:
        self.m, self.k, self.n = len(local.names), len(local.constraints.offsets), len(local.low)
        # a range of next to nothing on one side would need multipliers beyond all others: it may be wider
        upper, lengths = local.upper, -local.lower
        self.upper = np.maximum(upper, NARROW * lengths)
        self.lengths = np.maximum(lengths, NARROW * upper)
        self.local = local
        self.rows = np.concatenate([local.units.rows, local.constraints.rows])
        self.factor = _factor(self.rows @ self.rows.T, self.n)
        # slopes in h of: the outputs, the negative parts, the constraints
        eye = np.eye(self.m)
        self.mixing = np.concatenate([eye, eye - local.units.mixing, local.constraints.mixing])
        self.offsets = np.concatenate([np.zeros(self.m), -local.units.offsets, local.constraints.offsets])
        self.own = self.slopes(self.factor)
        self.below = np.flatnonzero(-local.low < local.radius)  # the sides of the box that can be reached
        self.above = np.flatnonzero(local.high < local.radius)

    @property
    def parameters(self) -> int:
        """The barrier's degree: at the centre of weight μ the best bound is at most μ times this higher."""
        return 2 * (2 * self.m + self.k) + len(self.below) + len(self.above)

    def slopes(self, factor: Array) -> Array:
        """(2m + k, 2m + k): of outputs, negative parts, constraints in (y, h), where rows·δ = factor y."""
        m = self.m
        left = np.concatenate([np.zeros((m, len(factor))), -factor[:m], factor[m:]])
        return np.concatenate([left, self.mixing], axis=1)

    def values(self, products: Array) -> Array:
        """(2m + k,): of the same forms at h = 0, where rows·δ is given."""
        m = self.m
        values: Array = self.offsets + np.concatenate([np.zeros(m), -products[:m], products[m:]])
        return values


def _factor(gram: Array, terms: int) -> Array:
    """Λ with Λ Λᵀ ⪰ the exact Gram matrix of rows of so many terms, whatever the roundings.

    These are at most γ times the product of the rows' lengths, each; so they count in units of the lengths.
    """
    size = len(gram)
    lengths: Array = np.sqrt(np.diag(gram)) + 1e-150
    hair = 4 * size * accumulated(terms + size + 10)
    scaled: Array = gram / lengths[:, None] / lengths + hair * np.eye(size)
    factor: Array = lengths[:, None] * np.linalg.cholesky(scaled)
    return factor


class _Point(NamedTuple):
    """The Lagrangian at multipliers where its Hessian is positive definite.

    Attributes:
        value: its least value.
        forms: (2m + k,), outputs, negative parts and constraints where it is least.
        step: δ there.
        inverse: of the Hessian in (y, h).
        log_determinant: of that Hessian.
    """

    value: float
    forms: Array
    step: Array
    inverse: Array
    log_determinant: float


def _hessian(slopes: Array, m: int, directions: int, at: Multipliers) -> Array:
    """Of the Lagrangian in (y, h)."""
    h, n = slopes[:m], slopes[m : 2 * m]
    half = h.T @ (at.outputs[:, None] * h + at.complementary[:, None] * n) + n.T @ (at.negatives[:, None] * n)
    K: Array = half + half.T
    diagonal = np.arange(directions)
    K[diagonal, diagonal] += 2.0
    return K


def _least(problem: _Problem, at: Multipliers) -> _Point | None:
    """Where the Lagrangian is least, or None if it is not bounded below.

    Without h, δ = −(w' − w)/2 + e is best for the box, and e in the rows' span: e = rowsᵀ Λ⁻ᵀ y, ‖e‖² = ‖y‖².
    """
    local, m, slopes = problem.local, problem.m, problem.own
    K = _hessian(slopes, m, len(problem.factor), at)
    try:
        factor = np.linalg.cholesky(K)
    except np.linalg.LinAlgError:
        return None
    inverse = np.linalg.inv(factor)
    inverse = inverse.T @ inverse
    pull = at.high - at.low
    start = problem.values(-0.5 * (problem.rows @ pull))
    n, g = start[m : 2 * m], start[2 * m :]
    linear = slopes.T @ np.concatenate(
        [
            at.complementary * n - at.outputs * problem.upper,
            at.negatives * (2 * n - problem.lengths),
            at.constraints,
        ]
    )
    z = -inverse @ linear
    below, above = problem.below, problem.above
    value = (
        -0.25 * pull @ pull
        + at.low[below] @ local.low[below]
        - at.high[above] @ local.high[above]
        + (at.negatives * n) @ (n - problem.lengths)
        + at.constraints @ g
        + 0.5 * linear @ z
    )
    y = z[: len(problem.factor)]
    step = -0.5 * pull + problem.rows.T @ np.linalg.solve(problem.factor.T, y)
    return _Point(float(value), start + slopes @ z, step, inverse, 2.0 * float(np.log(np.diag(factor)).sum()))


def _barrier(problem: _Problem, at: Multipliers, point: _Point, weight: float) -> float:
    """What Newton's method maximises."""
    below, above = problem.below, problem.above
    parts = (at.outputs, at.negatives, at.constraints, at.low[below], at.high[above])
    return point.value + weight * (point.log_determinant + sum(float(np.log(part).sum()) for part in parts))


def _newton_step(
    problem: _Problem, at: Multipliers, point: _Point, weight: float, last: float
) -> tuple[Multipliers, float]:
    """The step towards the centre of weight μ, and how much it would gain, to second order, in units of μ.

    At the centre of the weight `last`, with its curvature, this is the tangent of the central path.
    """
    local, m, slopes = problem.local, problem.m, problem.own
    below, above = problem.below, problem.above
    h, n, g = point.forms[:m], point.forms[m : 2 * m], point.forms[2 * m :]
    # gradients of the barrier function in w and w'
    r_low = -(point.step[below] - local.low[below]) + weight / at.low[below]
    r_high = -(local.high[above] - point.step[above]) + weight / at.high[above]
    give_low, give_high = at.low[below] ** 2 / last, at.high[above] ** 2 / last
    stiffness = np.full(problem.n, 2.0)
    stiffness[below] += give_low
    stiffness[above] += give_high
    push = np.zeros(problem.n)
    push[below] -= give_low * r_low
    push[above] += give_high * r_high

    soft = problem.rows / stiffness
    factor = _factor(soft @ problem.rows.T, problem.n)
    stiff_slopes = problem.slopes(factor)
    K = _hessian(stiff_slopes, m, len(factor), at)
    diagonal = np.arange(len(factor))
    K[diagonal, diagonal] -= 1.0
    half = np.linalg.inv(np.linalg.cholesky(K))
    seen = half @ stiff_slopes.T  # (m + k + m, 2m + k): M_aug = seenᵀ seen in the forms
    # δ moves by the push: by W push where the units do not resist, and by what they pull back
    moved = problem.values(soft @ push) - problem.offsets
    pulled = np.concatenate(
        [
            at.complementary * moved[m : 2 * m],
            2 * at.negatives * moved[m : 2 * m],
            np.zeros(problem.k),
        ]
    )
    drift = moved - seen.T @ (seen @ pulled)

    # each quadratic's gradient: a combination of slopes of outputs, negative parts and constraints
    size = 3 * m + problem.k
    gradients = np.zeros((2 * m + problem.k, size))
    i = np.arange(m)
    gradients[i, i] = n
    gradients[m + i, i] = h
    gradients[i, m + i] = 2 * h - problem.upper
    gradients[m + i, 2 * m + i] = 2 * n - problem.lengths
    j = np.arange(problem.k)
    gradients[2 * m + j, 3 * m + j] = 1.0

    curved = slopes[: 2 * m] @ point.inverse @ slopes[: 2 * m].T
    hh, hn, nn = curved[:m, :m], curved[:m, m:], curved[m:, m:]
    crossed = np.zeros((size, size))
    crossed[:m, :m] = 2 * (hh * nn + hn * hn.T)
    crossed[:m, m : 2 * m] = 4 * hh * hn.T
    crossed[:m, 2 * m : 3 * m] = 4 * hn * nn
    crossed[m : 2 * m, m : 2 * m] = 4 * hh * hh
    crossed[m : 2 * m, 2 * m : 3 * m] = 4 * hn * hn
    crossed[2 * m : 3 * m, 2 * m : 3 * m] = 4 * nn * nn
    crossed[m : 2 * m, :m] = crossed[:m, m : 2 * m].T
    crossed[2 * m : 3 * m, : 2 * m] = crossed[: 2 * m, 2 * m : 3 * m].T

    positive = np.concatenate([at.outputs, at.negatives, at.constraints])
    first = np.concatenate([h * n, -h * (problem.upper - h), -n * (problem.lengths - n), g])
    slope = first.copy()
    slope[:m] += weight * 2 * np.diag(hn)
    slope[m : 2 * m] += weight * 2 * np.diag(hh)
    slope[2 * m : 3 * m] += weight * 2 * np.diag(nn)
    slope[m:] += weight / positive

    tangents = seen @ gradients
    normal = tangents.T @ tangents + last * crossed
    where = np.arange(m, size)
    normal[where, where] += last / positive**2
    scale = 1.0 / np.sqrt(np.diag(normal))
    normal *= scale[:, None] * scale
    right = slope - gradients.T @ drift
    move = scale * np.linalg.solve(normal, scale * right)

    # how the least point answers, and from it the box's multipliers
    z = half.T @ (tangents @ move - seen @ pulled)
    y = z[: len(factor)]
    answer = push / stiffness + soft.T @ np.linalg.solve(factor.T, y)
    low, high = np.zeros(problem.n), np.zeros(problem.n)
    low[below] = give_low * (r_low + answer[below])
    high[above] = give_high * (r_high - answer[above])
    gain = slope @ move + r_low @ low[below] + r_high @ high[above]
    step = Multipliers(move[:m], move[m : 2 * m], move[2 * m : 3 * m], move[3 * m :], low, high)
    return step, float(gain) / weight


def _start(problem: _Problem, weight: float) -> Multipliers:
    """Multipliers near the centre of weight μ, were there no coupling."""
    local = problem.local
    low, high = np.zeros(problem.n), np.zeros(problem.n)
    give = math.sqrt(weight / 2)
    low[problem.below] = weight / (give - local.low[problem.below])
    high[problem.above] = weight / (give + local.high[problem.above])
    sizes = local.constraints.sizes(local.radius, local.upper)
    return Multipliers(
        np.zeros(problem.m),
        4 * weight / problem.upper**2,
        4 * weight / problem.lengths**2,
        weight / np.maximum(sizes, 1e-300),
        low,
        high,
    )


def _share(at: Multipliers, step: Multipliers) -> float:
    """How much of the step keeps every multiplier of an inequality positive."""
    shares = [1.0]
    for value, change in zip(at[1:], step[1:], strict=True):
        falling = change < 0
        if falling.any():
            shares.append(ROOM * float((value[falling] / -change[falling]).min()))
    return min(shares)


def semidefinite_bound(
    local: LocalNetwork,
    *,
    start: Multipliers | None = None,
    goal: float | None = None,
    tolerance: float = 1e-3,
    most: int = 80,
) -> DualBound:
    """The largest lower bound on ‖δ‖ that multipliers of the local network prove, nearly.

    Args:
        local: as `local_network` makes it.
        start: the `centre` of the same network, or of a similar one.
        goal: stop where the distance is proved to be at least this, or where no multipliers will prove it.
            None: only where it is at least the ball's radius, which says that the set holds no mistake.
        tolerance: stop where the squared bound is this near to the best one, relatively.
        most: Newton steps.

    >>> import torch
    >>> from regrob.affine.relu_layers import ReluLayers
    >>> from regrob.certificates.local_network import local_network
    >>> eye, zero = torch.eye(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    >>> bounds = [torch.tensor([0.0, -1.0]).double()], [torch.tensor([2.0, 1.0]).double()]
    >>> layers = ReluLayers((eye, eye), (zero, zero))  # x₁ against max(x₂, 0): to the diagonal
    >>> local = local_network(layers, torch.tensor([1.0, 0.0]), *bounds, label=0, rival=1, radius=1.0)
    >>> round(semidefinite_bound(local, tolerance=1e-6).distance, 3)
    0.707
    """
    problem = _Problem(local)
    enough = (local.radius if goal is None else goal) ** 2 * (1 + 1e-9)
    cold = COLD * local.radius**2 / problem.parameters
    weight = cold if start is None else WARM * cold
    first = _start(problem, weight)
    if start is not None:
        first = Multipliers(
            start.complementary, *(np.maximum(a, b) for a, b in zip(start[1:], first[1:], strict=True))
        )
    at, point = _feasible(problem, first)
    centres, steps, last, centre = [(at, point)], 0, weight, at
    while steps < most:
        steps += 1
        step, gain = _newton_step(problem, at, point, weight, last)
        taken = _taken(problem, at, point, step, weight if weight == last else None)
        if taken is None:
            break
        share, at, point = taken
        weight = last = weight + (1 - share) * (last - weight)
        if point.value > max(enough, centres[-1][1].value):
            centres.append((at, point))
            break
        if gain < 1.0:
            if point.value > centres[-1][1].value:
                centres.append((at, point))
            if weight >= WARM * cold:
                centre = at
            gap = weight * problem.parameters
            if gap <= tolerance * abs(point.value) or (goal is not None and point.value + 2 * gap < enough):
                break
            weight = SHRINK * last
    while True:  # the last ones may be too near to singular for a proof
        at, point = centres.pop()
        distance = proved(local, at)
        if distance > 0 or not centres:
            break
    h, n = point.forms[: problem.m], point.forms[problem.m : 2 * problem.m]
    violation = np.abs(h * n) / (problem.upper * problem.lengths)
    return DualBound(distance, point.step, h, violation, at, centre, steps)


def inherited(multipliers: Multipliers, unit: int) -> Multipliers:
    """Where to start after `split` has folded a unit away and appended its sign to the constraints."""
    tau, outputs, negatives = (np.delete(part, unit) for part in multipliers[:3])
    constraints = np.append(multipliers.constraints, 0.0)
    return Multipliers(tau, outputs, negatives, constraints, multipliers.low, multipliers.high)


def _feasible(problem: _Problem, at: Multipliers) -> tuple[Multipliers, _Point]:
    """The multipliers with smaller τ if need be, so that the Hessian is positive definite."""
    for _ in range(60):
        point = _least(problem, at)
        if point is not None:
            return at, point
        at = at._replace(complementary=0.5 * at.complementary)
    at = at._replace(complementary=np.zeros(problem.m))
    point = _least(problem, at)
    if point is None:
        raise InputError(
            "the local network's numbers are beyond float64: its heights or bounds are too large or too small"
        )
    return at, point


def _taken(
    problem: _Problem, at: Multipliers, point: _Point, step: Multipliers, weight: float | None
) -> tuple[float, Multipliers, _Point] | None:
    """As much of the step as stays away from singular multipliers and, at a fixed weight, climbs."""
    share = _share(at, step)
    height = -math.inf if weight is None else _barrier(problem, at, point, weight)
    for _ in range(30):
        beyond = _moved(at, step, share / ROOM)
        there = _moved(at, step, share)
        try:
            np.linalg.cholesky(_hessian(problem.own, problem.m, len(problem.factor), beyond))
        except np.linalg.LinAlgError:
            share *= 0.7
            continue
        found = _least(problem, there)
        if found is not None and (weight is None or _barrier(problem, there, found, weight) >= height):
            return share, there, found
        share *= 0.5
    return None


def _moved(at: Multipliers, step: Multipliers, share: float) -> Multipliers:
    return Multipliers(*(value + share * change for value, change in zip(at, step, strict=True)))


def proved(local: LocalNetwork, multipliers: Multipliers) -> float:
    """The distance that these multipliers prove, with all roundings on the safe side; 0 if they prove none.

    Negative multipliers of inequalities count as zero. With Λ Λᵀ ⪰ rows rowsᵀ, ‖Λ⁻¹ rows δ‖ ≤ ‖δ‖; so the
    Hessian in (δ, h) is at least η times a diagonal D if that in (y, h) is, which Cholesky's factorisation
    shows once its own rounding errors are subtracted (Rump 2006). For every e then

        L(v + e) ≥ L(v) + ∇L(v)·e + η eᵀD e/2 ≥ L(v) − ∇L(v)ᵀ D⁻¹ ∇L(v)/(2η),

    where v is nearly the minimiser, so that the last term is next to nothing.
    """
    problem = _Problem(local)
    m, size = problem.m, len(problem.factor)
    at = Multipliers(multipliers.complementary, *(np.maximum(part, 0.0) for part in multipliers[1:]))
    low, high = np.zeros(problem.n), np.zeros(problem.n)
    low[problem.below], high[problem.above] = at.low[problem.below], at.high[problem.above]
    at = at._replace(low=low, high=high)
    if not all(np.isfinite(part).all() for part in at):
        return 0.0
    gamma = 4 * accumulated(problem.n + 4 * m + 2 * problem.k + 20)
    K = _hessian(problem.own, m, size, at)
    sizes = _hessian(np.abs(problem.own), m, size, at._replace(complementary=np.abs(at.complementary)))
    scale = 1.0 / np.sqrt(np.diag(K))
    hair = gamma * (float((scale[:, None] * sizes * scale).sum(axis=1).max()) + len(K))
    try:
        np.linalg.cholesky(scale[:, None] * K * scale - (CURVATURE + hair) * np.eye(len(K)))
    except np.linalg.LinAlgError:
        return 0.0
    point = _least(problem, at)
    if point is None:
        return 0.0
    diagonal = np.concatenate([np.full(problem.n, 2.0), np.diag(K)[size:]]) * (1 - gamma)
    value, slope, error = _lagrangian(problem, at, point.step, point.forms[:m])
    least = value - error - float((slope**2 / diagonal).sum()) / (2 * CURVATURE) * (1 + gamma)
    # the forms are not the exact network's: by what the multipliers make of their errors
    wrong = local.units.errors
    least -= (1 + gamma) * float(
        np.abs(at.complementary) @ (problem.upper * wrong)
        + at.negatives @ (wrong * (problem.lengths + wrong))
        + at.constraints @ local.constraints.errors
    )
    if not least > 0:
        return 0.0
    return math.nextafter(math.sqrt(math.nextafter(least, 0.0)), 0.0)


def _lagrangian(
    problem: _Problem, at: Multipliers, step: Array, outputs: Array
) -> tuple[float, Array, float]:
    """L at (δ, h), a bound on the size of each of its derivatives, and one on the error of the value."""
    local, m = problem.local, problem.m
    gamma = 4 * accumulated(problem.n + 4 * m + 2 * problem.k + 20)
    rows, mixing = problem.rows, problem.mixing[m:]
    signed = np.concatenate([-rows[:m], rows[m:]])  # of the negative parts, and of the constraints
    forms = signed @ step + mixing @ outputs + problem.offsets[m:]
    sizes = np.abs(rows) @ np.abs(step) + np.abs(mixing) @ np.abs(outputs) + np.abs(problem.offsets[m:])
    n, g, n_sizes = forms[:m], forms[m:], sizes[:m]
    below, above = problem.below, problem.above
    terms = (
        step * step,
        at.complementary * outputs * n,
        at.outputs * outputs * (outputs - problem.upper),
        at.negatives * n * (n - problem.lengths),
        at.constraints * g,
        at.low[below] * (local.low[below] - step[below]),
        at.high[above] * (step[above] - local.high[above]),
    )
    value = float(sum(term.sum() for term in terms))
    largest = (
        step * step,
        np.abs(at.complementary * outputs) * n_sizes,
        at.outputs * np.abs(outputs) * (np.abs(outputs) + problem.upper),
        at.negatives * (n_sizes + problem.lengths) ** 2,
        at.constraints * sizes[m:],
        at.low[below] * (np.abs(local.low[below]) + np.abs(step[below])),
        at.high[above] * (np.abs(step[above]) + np.abs(local.high[above])),
    )
    error = 4 * gamma * float(sum(term.sum() for term in largest))

    pull = at.high - at.low
    on_forms = np.concatenate(
        [at.complementary * outputs + at.negatives * (2 * n - problem.lengths), at.constraints]
    )
    on_sizes = np.concatenate(
        [np.abs(at.complementary * outputs) + at.negatives * (2 * n_sizes + problem.lengths), at.constraints]
    )
    in_step = 2 * step + pull + signed.T @ on_forms
    in_outputs = at.outputs * (2 * outputs - problem.upper) + at.complementary * n + mixing.T @ on_forms
    step_sizes = 2 * np.abs(step) + np.abs(pull) + np.abs(rows).T @ on_sizes
    output_sizes = (
        at.outputs * (2 * np.abs(outputs) + problem.upper)
        + np.abs(at.complementary) * n_sizes
        + np.abs(mixing).T @ on_sizes
    )
    slopes = np.abs(np.concatenate([in_step, in_outputs]))
    slopes += 4 * gamma * np.concatenate([step_sizes, output_sizes])
    return value, slopes, error
