"""A lower bound on the distance to the nearest mistake, from the semidefinite dual of a local network.

The nearest mistake minimises ‖δ‖² under quadratic equations and inequalities. With n_k = h_k − a_k, the
negative part of a height,

    h_k n_k = 0,    h_k (h_k − u_k) ≤ 0,    n_k (n_k + l_k) ≤ 0,    g_0 h_k ≤ 0,    g_0 n_k ≤ 0,

where the margin g_0 and all other constraints g are at most zero, and δ is in the box. Each gets a
multiplier: τ of any sign, all others not negative. The Lagrangian

    L = ‖δ‖² + Σ τ h n + Σ σ h (h − u) + Σ ς n (n + l) + Σ κ g_0 h + Σ λ g_0 n + Σ t g
        + Σ w (low − δ) + Σ w' (δ − high)

is at most ‖δ‖² at every mistake. Where its Hessian is positive definite, its least value is a lower bound on
‖δ‖² (Shor 1987). That h ≥ 0, n ≥ 0 and the triangle h/u − n/l ≤ 1 hold follows from the others in the
relaxation, so they need no multipliers of their own.

The least value is concave in the multipliers. It is maximised along the central path: Newton's method on it
plus μ times the logarithms of the multipliers and of the Hessian's determinant, with μ → 0. The perturbation
enters only by its inner products with the forms' rows, so that matrices have the size of the units; the box
is eliminated pixel by pixel. What comes out is not trusted: `proved` bounds the least value anew, rounding
errors included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from regrob.certificates.local_network import Array, LocalNetwork
from regrob.certificates.rounded import accumulated
from regrob.errors import InputError

CURVATURE = 1e-10
"""The Hessian must be at least this times the identity, in units in which its diagonal is one."""

NARROW = 0.1
"""A unit's range is taken to reach at least this far to its shorter side, as a share of the longer one."""

DEAD = 1e-9
"""Nor to less than this share of the widest range, or of the radius: the squares of less would underflow."""

COLD, LESS_COLD = 3.0, 1.0
"""Weight of the barrier at a cold start: what it may cost of the bound, in units of the squared radius. The
second is for networks that need not come near a centre (`LOOSE`)."""

WARM = 0.1
"""Weight of the barrier at a warm start, as a share of that at a cold one."""

NEAR, NEARER, LOOSE = 5.0, 0.03, 5e-5
"""A point is near enough to a centre if a Newton step would gain less, in units of the barrier of degree N,
than the smaller of the first and the second times N; or than the third times N², which is more for large
networks: too far from the centre for theory, and the soonest way to good bounds in practice."""

ROOM = 0.9
"""How far a step may go towards where a multiplier or the Hessian turns singular."""

LARGEST = 1e4
"""Where nothing else stops a multiplier: this many times the squared radius, over its inequality's size."""

SHRINK = 0.1
"""What the barrier's weight is multiplied by, if the step along the central path can be taken whole."""

RIDGES = (0.0, 1e-12, 1e-10, 1e-8, 1e-6)
"""Shares of its diagonal that are added to a matrix, in turn, where rounding has made it indefinite."""


class Multipliers(NamedTuple):
    """Of a local network with m units, k constraints and n pixels.

    Attributes:
        complementary: τ (m,), of h n = 0.
        outputs: σ (m,), of h (h − u) ≤ 0.
        negatives: ς (m,), of n (n + l) ≤ 0.
        margin_outputs: κ (m,), of g_0 h ≤ 0; (0,) if these products are left out.
        margin_negatives: λ (m,), of g_0 n ≤ 0; (0,) if these products are left out.
        constraints: t (k,).
        low, high: w, w' (n,), of the box; zero where it has no limit.
    """

    complementary: Array
    outputs: Array
    negatives: Array
    margin_outputs: Array
    margin_negatives: Array
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


class _Product(NamedTuple):
    """m products (left + left_shift)(right + right_shift) of forms, by their places among all forms."""

    left: slice
    right: slice
    left_shift: Array | float
    right_shift: Array | float


class _Problem:
    """A local network in the coordinates of the Newton steps; see `_least`.

    The forms are the m outputs h, the m negative parts n and the k constraints g.
    """

    def __init__(self, local: LocalNetwork, products: bool) -> None:
        self.local = local
        self.m, self.k, self.n = len(local.names), len(local.constraints.offsets), len(local.low)
        # a range of next to nothing on one side would need multipliers beyond all others: it may be wider
        upper, lengths = local.upper, -local.lower
        widest = max(upper.max(initial=0.0), lengths.max(initial=0.0), local.radius)
        least = np.maximum(NARROW * np.maximum(upper, lengths), DEAD * widest)
        self.upper, self.lengths = np.maximum(upper, least), np.maximum(lengths, least)
        rows = np.concatenate([local.units.rows, local.constraints.rows])
        self.live = np.flatnonzero(rows.any(axis=1))  # the forms a and g that depend on δ directly
        self.rows = rows[self.live]
        self.signs = np.where(self.live < self.m, -1.0, 1.0)  # n = h − a
        self.factor = _factor(self.rows @ self.rows.T, self.n)
        eye = np.eye(self.m)
        self.mixing = np.concatenate([eye, eye - local.units.mixing, local.constraints.mixing])
        self.offsets = np.concatenate([np.zeros(self.m), -local.units.offsets, local.constraints.offsets])
        self.own = self.slopes(self.factor)
        self.below = np.flatnonzero(-local.low < local.radius)  # the sides of the box that can be reached
        self.above = np.flatnonzero(local.high < local.radius)
        m = self.m
        h, n, margin = slice(0, m), slice(m, 2 * m), slice(2 * m, 2 * m + 1)
        self.h, self.negative, self.g = h, n, slice(2 * m, 2 * m + self.k)
        self.products = [
            _Product(h, n, 0.0, 0.0),
            _Product(h, h, 0.0, -self.upper),
            _Product(n, n, 0.0, -self.lengths),
        ]
        sizes = np.maximum(local.constraints.sizes(local.radius, local.upper), 1e-300)
        self.sizes = [self.upper**2, self.lengths**2]  # of the inequalities: σ, ς, κ, λ, t
        if products:
            self.sizes += [sizes[0] * self.upper, sizes[0] * self.lengths]
            self.products += [_Product(margin, h, 0.0, 0.0), _Product(margin, n, 0.0, 0.0)]

        self.sizes.append(sizes)
        self.ceiling = np.concatenate(self.sizes) / (LARGEST * local.radius**2)

    @property
    def parameters(self) -> int:
        """The barrier's degree: at the centre of weight μ the best bound is at most μ times this higher."""
        inequalities = (len(self.products) - 1) * self.m + self.k + len(self.below) + len(self.above)
        return len(self.own[0]) + inequalities

    def slopes(self, factor: Array) -> Array:
        """(2m + k, r + m): of the forms in (y, h), where live rows·δ = factor y."""
        slopes = np.zeros((2 * self.m + self.k, len(factor) + self.m))
        slopes[self.m + self.live, : len(factor)] = self.signs[:, None] * factor
        slopes[:, len(factor) :] = self.mixing
        return slopes

    def values(self, products: Array) -> Array:
        """(2m + k,): the forms at h = 0, where live rows·δ are given."""
        values = self.offsets.copy()
        values[self.m + self.live] += self.signs * products
        return values

    def sides(self, forms: Array, product: _Product) -> tuple[Array, Array]:
        """Both factors of the products, where the forms have these values: (m,), or (1,) of the margin."""
        return forms[product.left] + product.left_shift, forms[product.right] + product.right_shift


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


def _cholesky(matrix: Array) -> Array | None:
    """The lower factor, or None if there is none."""
    from scipy.linalg import lapack

    factor, failed = lapack.dpotrf(matrix, lower=1, clean=1)
    return None if failed else factor


def _inverse(factor: Array) -> Array:
    """(L Lᵀ)⁻¹."""
    from scipy.linalg import lapack

    lower, _ = lapack.dpotri(factor, lower=1)
    inverse: Array = lower + lower.T  # zero above the diagonal, as the factor is
    inverse[np.diag_indices(len(inverse))] *= 0.5
    return inverse


def _solved_lower(matrix: Array, right: Array, ridges: Sequence[float]) -> Array:
    """matrix⁻¹ right, nearly, where only the lower triangle is given; the matrix is lost.

    Raises:
        FloatingPointError: it is not positive definite.
    """
    from scipy.linalg import lapack

    scale = 1.0 / np.sqrt(np.diag(matrix))
    matrix *= scale[:, None]
    matrix *= scale
    where = np.arange(len(matrix))
    for ridge in ridges:
        matrix[where, where] = 1.0 + ridge
        factor, failed = lapack.dpotrf(matrix.T, lower=0, clean=0)
        if not failed:
            break
    else:
        raise FloatingPointError("the curvature in the multipliers is not positive definite")
    scaled, _ = lapack.dpotrs(factor, scale * right, lower=0)
    unscaled: Array = scale * np.asarray(scaled)
    return unscaled


def _solved(factor: Array, right: Array) -> Array:
    """(L Lᵀ)⁻¹ right."""
    from scipy.linalg import lapack

    solution, _ = lapack.dpotrs(factor, right, lower=1)
    return np.asarray(solution)


class _Point(NamedTuple):
    """The Lagrangian at multipliers where its Hessian is positive definite.

    Attributes:
        value: its least value.
        forms: (2m + k,), where it is least.
        step: δ there.
        hessian: in (y, h).
        factor: of the Hessian.
    """

    value: float
    forms: Array
    step: Array
    hessian: Array
    factor: Array

    @property
    def log_determinant(self) -> float:
        """Of the Hessian."""
        return 2.0 * float(np.log(np.diag(self.factor)).sum())


def _hessian(problem: _Problem, slopes: Array, at: Multipliers, identity: float = 2.0) -> Array:
    """Of the Lagrangian in (y, h), with so many times the identity in y."""
    m, h, n = problem.m, slopes[problem.h], slopes[problem.negative]
    on_outputs = at.outputs[:, None] * h + at.complementary[:, None] * n
    if at.negatives.size and at.negatives.min() >= 0:
        root = np.sqrt(at.negatives)[:, None] * n
        half: Array = root.T @ root  # a symmetric product is half the work
    else:
        half = n.T @ (at.negatives[:, None] * n)
    if len(problem.products) > 3:
        margin = slopes[2 * m]
        on_outputs += at.margin_outputs[:, None] * margin
        half += np.outer(at.margin_negatives @ n, margin)
    directions = half.shape[0] - m
    half[directions:] += on_outputs  # the outputs' slopes are unit vectors
    K: Array = half + half.T
    diagonal = np.arange(directions)
    K[diagonal, diagonal] += identity
    return K


def _least(problem: _Problem, at: Multipliers, hessian: Array | None = None) -> _Point | None:
    """Where the Lagrangian, of this Hessian if it is known, is least; None if it is not bounded below.

    Without h, δ = −(w' − w)/2 + e is best for the box, and e in the rows' span: e = rowsᵀ Λ⁻ᵀ y, ‖e‖² = ‖y‖².
    """
    local, slopes = problem.local, problem.own
    K = _hessian(problem, slopes, at) if hessian is None else hessian
    factor = _cholesky(K)
    if factor is None:
        return None
    pull = at.high - at.low
    start = problem.values(-0.5 * (problem.rows @ pull))
    below, above = problem.below, problem.above
    value = -0.25 * pull @ pull + at.low[below] @ local.low[below] - at.high[above] @ local.high[above]
    on_forms = np.zeros(len(slopes))
    on_forms[problem.g] = at.constraints
    value += at.constraints @ start[problem.g]
    for multiplier, product in zip(at, problem.products, strict=False):
        left, right = problem.sides(start, product)
        value += (multiplier * left * right).sum()
        _add(on_forms, product.left, multiplier * right)
        _add(on_forms, product.right, multiplier * left)
    linear = slopes.T @ on_forms
    z = -_solved(factor, linear)
    y = z[: len(problem.factor)]
    step = -0.5 * pull + problem.rows.T @ np.linalg.solve(problem.factor.T, y)
    return _Point(float(value + 0.5 * linear @ z), start + slopes @ z, step, K, factor)


def _add(target: Array, place: slice, change: Array) -> None:
    """Add m numbers to m forms, or all of them to one."""
    target[place] += change if place.stop - place.start == len(change) else change.sum()


def _barrier(problem: _Problem, at: Multipliers, point: _Point, weight: float) -> float:
    """What Newton's method maximises."""
    positive = np.concatenate(at[1:6])
    parts = (positive, at.low[problem.below], at.high[problem.above])
    logarithms = sum(float(np.log(part).sum()) for part in parts)
    return point.value + weight * (point.log_determinant + logarithms - float(problem.ceiling @ positive))


def _gram(slopes: Array, m: int, inverse: Array) -> Array:
    """slopes · inverse · slopesᵀ, where the first m slopes are the last m unit vectors."""
    seen = slopes[m:] @ inverse
    products = np.empty((len(slopes), len(slopes)))
    products[:m, :m] = inverse[-m:, -m:] if m else inverse[:0, :0]
    products[m:, :m] = seen[:, seen.shape[1] - m :]
    products[:m, m:] = products[m:, :m].T
    products[m:, m:] = seen @ slopes[m:].T
    return products


def _newton_step(
    problem: _Problem, at: Multipliers, point: _Point, weight: float, last: float, ridges: Sequence[float]
) -> tuple[Multipliers, float]:
    """The step towards the centre of weight μ, and how much it would gain, to second order, in units of μ.

    At the centre of the weight `last`, with its curvature, this is the tangent of the central path.
    """
    local, m = problem.local, problem.m
    below, above = problem.below, problem.above
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

    # δ moves by the push: by W push where the units do not resist, and by what they pull back
    soft = problem.rows / stiffness
    factor = _factor(soft @ problem.rows.T, problem.n)
    slopes = problem.slopes(factor)
    stiff = _cholesky(_hessian(problem, slopes, at, 1.0))
    if stiff is None:
        raise FloatingPointError("the Hessian of a stiffer problem is not positive definite")
    inverse = _inverse(stiff)
    answers = _gram(slopes, m, inverse)
    moved = problem.values(soft @ push) - problem.offsets
    pulled = np.zeros(len(moved))
    for multiplier, product in zip(at, problem.products, strict=False):
        _add(pulled, product.left, multiplier * moved[product.right])
        _add(pulled, product.right, multiplier * moved[product.left])
    drift = moved - answers @ pulled

    # the curvature of the barrier function in the multipliers, and its slope
    curved = _gram(problem.own, m, _inverse(point.factor))
    families = problem.products
    starts = [m * i for i in range(len(families) + 1)]
    size = starts[-1] + problem.k
    normal = np.zeros((size, size))  # its lower triangle, block by block
    slope = np.empty(size)
    right = np.empty(size)
    sides = [problem.sides(point.forms, family) for family in families]
    g = slice(starts[-1], size)
    for i, (family, (left, other)) in enumerate(zip(families, sides, strict=True)):
        here = slice(starts[i], starts[i + 1])
        slope[here] = left * other
        paired = curved[family.left, family.right]
        slope[here] += 2 * weight * (np.diag(paired) if len(paired) == m else paired[0])
        right[here] = slope[here] - other * drift[family.left] - left * drift[family.right]
        for j, (earlier, (its_left, its_other)) in enumerate(zip(families[: i + 1], sides, strict=False)):
            there = slice(starts[j], starts[j + 1])
            block = curved[family.left, earlier.left] * curved[family.right, earlier.right]
            block += curved[family.left, earlier.right] * curved[family.right, earlier.left]
            block *= 2 * last
            for side, weighted in ((family.left, other), (family.right, left)):
                answer = answers[side, earlier.left] * its_other + answers[side, earlier.right] * its_left
                block += weighted[:, None] * answer
            normal[here, there] = block
        normal[g, here] = other * answers[problem.g, family.left] + left * answers[problem.g, family.right]
    normal[g, g] = answers[problem.g, problem.g]
    slope[g] = point.forms[problem.g]
    right[g] = slope[g] - drift[problem.g]
    positive = np.concatenate(at[1:6])
    where = np.arange(m, size)
    slope[m:] += weight * (1.0 / positive - problem.ceiling)
    right[m:] += weight * (1.0 / positive - problem.ceiling)
    normal[where, where] += last / positive**2
    move = _solved_lower(normal, right, ridges)

    # how the least point answers, and from it the box's multipliers
    combined = -pulled
    for i, (family, (left, other)) in enumerate(zip(families, sides, strict=True)):
        part = move[starts[i] : starts[i + 1]]
        _add(combined, family.left, part * other)
        _add(combined, family.right, part * left)
    combined[problem.g] += move[g]
    y = (inverse @ (slopes.T @ combined))[: len(factor)]
    shift = push / stiffness + soft.T @ np.linalg.solve(factor.T, y)
    low, high = np.zeros(problem.n), np.zeros(problem.n)
    low[below] = give_low * (r_low + shift[below])
    high[above] = give_high * (r_high - shift[above])
    gain = slope @ move + r_low @ low[below] + r_high @ high[above]
    parts = [move[starts[i] : starts[i + 1]] for i in range(len(families))]
    parts += [np.zeros(0)] * (5 - len(parts))
    tau, outputs, negatives, margin_outputs, margin_negatives = parts[:5]
    of_units = Multipliers(tau, outputs, negatives, margin_outputs, margin_negatives, move[g], low, high)
    return of_units, float(gain) / weight


def _start(problem: _Problem, weight: float) -> Multipliers:
    """Multipliers near the centre of weight μ, were there no coupling."""
    local = problem.local
    low, high = np.zeros(problem.n), np.zeros(problem.n)
    give = math.sqrt(weight / 2)
    low[problem.below] = weight / (give - local.low[problem.below])
    high[problem.above] = weight / (give + local.high[problem.above])
    sigma, varsigma, *of_margin, t = (weight / size for size in problem.sizes)
    kappa, lam = of_margin or (np.zeros(0), np.zeros(0))
    return Multipliers(np.zeros(problem.m), 4 * sigma, 4 * varsigma, kappa, lam, t, low, high)


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
    products: bool = True,
    late: Callable[[], bool] = lambda: False,
) -> DualBound:
    """The largest lower bound on ‖δ‖ that multipliers of the local network prove, nearly.

    Args:
        local: as `local_network` makes it.
        start: the `centre` of the same network, or of a similar one.
        goal: stop where the distance is proved to be at least this, or where no multipliers will prove it.
            None: only where it is at least the ball's radius, which says that the set holds no mistake.
        tolerance: stop where the squared bound is this near to the best one, relatively.
        most: Newton steps.
        products: also multiply the margin with the units, which makes the bound tighter and a step slower.
        late: asked before each step whether to stop; what was proved until then is returned.

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
    problem = _Problem(local, products)
    enough = (local.radius if goal is None else goal) ** 2 * (1 + 1e-9)
    degree = problem.parameters
    near = max(min(NEAR, NEARER * degree), LOOSE * degree**2)
    cold = (LESS_COLD if near > NEAR else COLD) * local.radius**2 / problem.parameters
    weight = cold if start is None else WARM * cold
    first = _start(problem, weight)
    if start is not None:
        first = Multipliers(
            start.complementary, *(np.maximum(a, b) for a, b in zip(start[1:], first[1:], strict=True))
        )
    if not local.names and not local.constraints.rows.any():
        return _of_constants(local, first)
    at, point = _feasible(problem, first)
    centres, steps, last, centre = [(at, point)], 0, weight, at
    while steps < most and not late():
        steps += 1
        far = weight * degree > abs(point.value)  # later, an indefinite matrix says that it is time to stop
        try:
            with np.errstate(over="raise", divide="raise", invalid="raise"):
                step, gain = _newton_step(problem, at, point, weight, last, RIDGES if far else RIDGES[:1])
                taken = _taken(problem, at, point, step, weight if weight == last else None)
        except FloatingPointError:
            break
        if taken is None:
            break
        share, at, point = taken
        weight = last = weight + (1 - share) * (last - weight)
        if point.value > centres[-1][1].value:
            centres.append((at, point))
            if point.value > enough:
                break
        if gain < near:
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


def _of_constants(local: LocalNetwork, at: Multipliers) -> DualBound:
    """Where nothing depends on δ: either no δ meets the constraints, or every one."""
    impossible = (local.constraints.offsets > local.constraints.errors).any()
    nothing = np.zeros(0)
    distance = math.inf if impossible else 0.0
    return DualBound(distance, np.zeros_like(local.low), nothing, nothing, at, at, 0)


def inherited(
    multipliers: Multipliers, units: Sequence[int], constraints: Sequence[int | None]
) -> Multipliers:
    """Where to start on a part of the set.

    Args:
        multipliers: of the whole set.
        units, constraints: the places there of what the part has; None for a constraint that is new.
    """
    kept = np.asarray(units, dtype=np.intp)

    def of_units(part: Array) -> Array:
        return part[kept] if len(part) else part

    old = multipliers.constraints
    return multipliers._replace(
        complementary=of_units(multipliers.complementary),
        outputs=of_units(multipliers.outputs),
        negatives=of_units(multipliers.negatives),
        margin_outputs=of_units(multipliers.margin_outputs),
        margin_negatives=of_units(multipliers.margin_negatives),
        constraints=np.array([0.0 if place is None else old[place] for place in constraints]),
    )


def _feasible(problem: _Problem, at: Multipliers) -> tuple[Multipliers, _Point]:
    """The multipliers with smaller τ, κ and λ if need be, so that the Hessian is positive definite."""
    for _ in range(60):
        point = _least(problem, at)
        if point is not None:
            return at, point
        at = at._replace(
            complementary=0.5 * at.complementary,
            margin_outputs=0.5 * at.margin_outputs,
            margin_negatives=0.5 * at.margin_negatives,
        )
    raise InputError(
        "the local network's numbers are beyond float64: its heights or bounds are too large or too small"
    )


def _taken(
    problem: _Problem, at: Multipliers, point: _Point, step: Multipliers, weight: float | None
) -> tuple[float, Multipliers, _Point] | None:
    """As much of the step as stays away from singular multipliers and, at a fixed weight, climbs."""
    share = _share(at, step)
    height = -math.inf if weight is None else _barrier(problem, at, point, weight)
    change = _hessian(problem, problem.own, step, 0.0)
    for _ in range(30):
        if _cholesky(point.hessian + share / ROOM * change) is None:
            share *= 0.7
            continue
        there = _moved(at, step, share)
        reached = _least(problem, there, point.hessian + share * change)
        if reached is not None and (weight is None or _barrier(problem, there, reached, weight) >= height):
            return share, there, reached
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
    with_margin = len(multipliers.margin_outputs) > 0
    problem = _Problem(local, with_margin)
    m, size = problem.m, len(problem.factor)
    at = Multipliers(multipliers.complementary, *(np.maximum(part, 0.0) for part in multipliers[1:]))
    low, high = np.zeros(problem.n), np.zeros(problem.n)
    low[problem.below], high[problem.above] = at.low[problem.below], at.high[problem.above]
    at = at._replace(low=low, high=high)
    if not all(np.isfinite(part).all() for part in at):
        return 0.0
    gamma = 4 * accumulated(problem.n + 4 * m + 2 * problem.k + 20)
    K = _hessian(problem, problem.own, at)
    sizes = _hessian(problem, np.abs(problem.own), at._replace(complementary=np.abs(at.complementary)))
    scale = 1.0 / np.sqrt(np.maximum(np.diag(K), 1e-300))
    hair = gamma * (float((scale[:, None] * sizes * scale).sum(axis=1).max()) + len(K))
    shifted = scale[:, None] * K * scale - (CURVATURE + hair) * np.eye(len(K))
    point = None if _cholesky(shifted) is None else _least(problem, at)
    if point is None:
        return 0.0
    diagonal = np.concatenate([np.full(problem.n, 2.0), np.diag(K)[size:]]) * (1 - gamma)
    value, slope, error = _lagrangian(problem, at, point.step, point.forms[:m])
    least = value - error - float((slope**2 / diagonal).sum()) / (2 * CURVATURE) * (1 + gamma)
    # the forms are not the exact network's: by what the multipliers make of their errors
    wrong, off = local.units.errors, local.constraints.errors
    lost = np.abs(at.complementary) @ (problem.upper * wrong)
    lost += at.negatives @ (wrong * (problem.lengths + wrong)) + at.constraints @ off
    if with_margin:
        margin = local.constraints.sizes(local.radius, local.upper)[0]
        lost += at.margin_outputs @ problem.upper * off[0]
        lost += at.margin_negatives @ (margin * wrong + (problem.lengths + wrong) * off[0])
    least -= (1 + gamma) * float(lost)
    if not least > 0:
        return 0.0
    return math.nextafter(math.sqrt(math.nextafter(least, 0.0)), 0.0)


def _lagrangian(
    problem: _Problem, at: Multipliers, step: Array, outputs: Array
) -> tuple[float, Array, float]:
    """L at (δ, h), a bound on the size of each of its derivatives, and one on the error of the value."""
    local, m = problem.local, problem.m
    gamma = 4 * accumulated(problem.n + 4 * m + 2 * problem.k + 20)
    units, bounds = local.units, local.constraints
    rows = np.concatenate([-units.rows, bounds.rows])
    negatives_and_g = rows @ step + problem.mixing[m:] @ outputs + problem.offsets[m:]
    their_sizes = np.abs(rows) @ np.abs(step) + np.abs(problem.mixing[m:]) @ np.abs(outputs)
    forms = np.concatenate([outputs, negatives_and_g])
    sizes = np.concatenate([np.abs(outputs), their_sizes + np.abs(problem.offsets[m:])])
    below, above = problem.below, problem.above
    pull = at.high - at.low
    value = step @ step
    value += at.low[below] @ (local.low[below] - step[below])
    value += at.high[above] @ (step[above] - local.high[above])
    largest = step @ step
    largest += at.low[below] @ (np.abs(local.low[below]) + np.abs(step[below]))
    largest += at.high[above] @ (np.abs(step[above]) + np.abs(local.high[above]))
    on_forms, on_sizes = np.zeros(len(forms)), np.zeros(len(forms))
    on_forms[problem.g] = on_sizes[problem.g] = at.constraints
    value += at.constraints @ forms[problem.g]
    largest += at.constraints @ sizes[problem.g]
    for multiplier, product in zip(at, problem.products, strict=False):
        left, right = problem.sides(forms, product)
        value += float((multiplier * left * right).sum())
        _add(on_forms, product.left, multiplier * right)
        _add(on_forms, product.right, multiplier * left)
        multiplier = np.abs(multiplier)
        left = sizes[product.left] + np.abs(product.left_shift)
        right = sizes[product.right] + np.abs(product.right_shift)
        largest += float((multiplier * left * right).sum())
        _add(on_sizes, product.left, multiplier * right)
        _add(on_sizes, product.right, multiplier * left)
    in_step = 2 * step + pull + rows.T @ on_forms[m:]
    in_outputs = problem.mixing.T @ on_forms
    step_sizes = 2 * np.abs(step) + np.abs(pull) + np.abs(rows).T @ on_sizes[m:]
    output_sizes = np.abs(problem.mixing).T @ on_sizes
    slopes = np.abs(np.concatenate([in_step, in_outputs]))
    slopes += 4 * gamma * np.concatenate([step_sizes, output_sizes])
    return float(value), slopes, 4 * gamma * float(largest)
