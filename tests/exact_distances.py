"""The exact distance to the nearest mistake of a small network, in any dimension and by slow means.

Every sign pattern of the hidden units is a polytope on which the network is affine, and there a mistake is
the solution of a convex programme: quadratic for ℓ2, by a dual method, linear for ℓ1 and ℓ∞, by HiGHS. For
ℓ∞ also in one piece, as a mixed-integer programme. Nothing here imports `regrob`. A network is given as
weights (out, in) and biases (out,), one of each a layer.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize
from torch import nn

Array = NDArray[np.float64]
Box = tuple[float, float] | None

BEYOND = 1e6
"""Without a box, a polytope that is further away is empty: what is left is rounding."""


class ExactMistake(NamedTuple):
    """The nearest mistake: its distance, infinite if there is none in the box, and where it is."""

    distance: float
    point: Array | None


def layers_of(network: nn.Sequential) -> tuple[list[Array], list[Array]]:
    """Weights and biases of a chain of `nn.Linear` and one kind of activation."""
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    weights = [layer.weight.detach().double().numpy() for layer in linear]
    biases = [
        np.zeros(layer.out_features) if layer.bias is None else layer.bias.detach().double().numpy()
        for layer in linear
    ]
    return weights, biases


class _Rows(NamedTuple):
    """Half-spaces a · δ ≤ b of the perturbation δ, none of which leads further than `reach`."""

    a: Array
    b: Array
    reach: float

    def with_row(self, a: Array, b: float) -> _Rows:
        return self._replace(a=np.vstack([self.a, a]), b=np.append(self.b, b))


def nearest_mistake(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    image: ArrayLike,
    label: int,
    *,
    norm: float = 2.0,
    box: Box = (0.0, 1.0),
    slope: float = 0.0,
) -> ExactMistake:
    """The nearest point of the box at which another logit is at least the label's.

    A best-first search over sign patterns, one unit at a time, layer by layer: the distance to the polytope
    of a partial pattern bounds all that complete it from below, so the first mistake that leaves the queue is
    the nearest. Accurate to about 1e-9 for ℓ2 and 1e-7 for ℓ1 and ℓ∞, relative to the box or the distance.

    Args:
        norm: 1, 2 or infinity.
        slope: of the activation left of zero: 0 is ReLU.
    """
    W = [np.asarray(w, dtype=np.float64) for w in weights]
    b = [np.asarray(v, dtype=np.float64) for v in biases]
    x = np.asarray(image, dtype=np.float64).ravel()
    n = len(x)
    start = _Rows(np.zeros((0, n)), np.zeros(0), BEYOND)
    if box is not None:
        eye = np.eye(n)
        reach = 1.001 * float(np.linalg.norm(np.maximum(np.abs(box[1] - x), np.abs(x - box[0]))))
        start = _Rows(np.vstack([eye, -eye]), np.concatenate([box[1] - x, x - box[0]]), reach)
    units = [(layer, unit) for layer in range(len(W) - 1) for unit in range(len(b[layer]))]
    count = itertools.count()
    first = _nearest(start, n, norm)
    if first is None:
        return ExactMistake(math.inf, None)
    # An entry: its distance, a tie-break, δ there, the signs so far, the half-spaces, is it a mistake.
    queue: list[tuple[float, int, Array, tuple[bool, ...], _Rows, bool]] = [
        (_length(first, norm), next(count), first, (), start, False)
    ]
    while queue:
        distance, _, delta, signs, rows, final = heapq.heappop(queue)
        if final:
            _require_mistake(W, b, x, delta, label, slope)
            return ExactMistake(distance, x + delta)
        if len(signs) == len(units):
            V, z, sizes = _affine(W, b, x, signs, slope, len(W) - 1)
            for rival in range(len(z)):
                if rival != label:
                    lead = _Half(V[rival] - V[label], z[rival] - z[label], sizes[rival] + sizes[label])
                    _push(queue, count, lead, rows, delta, signs, norm, final=True)
            continue
        layer, unit = units[len(signs)]
        V, h, sizes = _affine(W, b, x, signs, slope, layer)
        scale = sizes[unit]
        if np.abs(V[unit]).max() <= 1e-14 * scale:  # it never switches
            heapq.heappush(queue, (distance, next(count), delta, (*signs, bool(h[unit] > 0)), rows, False))
            continue
        for active in (True, False):
            sign = 1.0 if active else -1.0
            half = _Half(sign * V[unit], sign * h[unit], scale)
            _push(queue, count, half, rows, delta, (*signs, active), norm, final=False)
    return ExactMistake(math.inf, None)


class _Half(NamedTuple):
    """The half-space a · δ + height ≥ 0, and the size of the terms that a is a sum of."""

    a: Array
    height: float
    scale: float


def _push(
    queue: list[tuple[float, int, Array, tuple[bool, ...], _Rows, bool]],
    count: itertools.count[int],
    half: _Half,
    rows: _Rows,
    delta: Array,
    signs: tuple[bool, ...],
    norm: float,
    *,
    final: bool,
) -> None:
    """Add what is left of a polytope in a half-space, if anything is."""
    size = float(np.linalg.norm(half.a))
    if size <= 1e-14 * half.scale or size == 0:
        if half.height >= 0:
            heapq.heappush(queue, (_length(delta, norm), next(count), delta, signs, rows, final))
        return
    a, height = half.a / size, half.height / size
    rows = rows.with_row(-a, height)
    found: Array | None = delta
    if a @ delta + height < 0:  # the nearest point so far is cut off
        found = _nearest(rows, len(delta), norm)
    if found is not None:
        heapq.heappush(queue, (_length(found, norm), next(count), found, signs, rows, final))


def _length(delta: Array, norm: float) -> float:
    return float(np.linalg.norm(delta, ord=norm))


def _affine(
    W: Sequence[Array], b: Sequence[Array], x: Array, signs: Sequence[bool], slope: float, layer: int
) -> tuple[Array, Array, Array]:
    """A layer's pre-activations as V δ + h, on the polytope of the signs of the layers before it.

    And of each row of V the size of the terms that it is a sum of: what rounding leaves of a row that is zero
    is small beside these, which may themselves be small or large beside those of its neighbours.
    """
    V, h, start = W[0], W[0] @ x + b[0], 0
    sizes = np.abs(V).max(axis=1)
    for k in range(layer):
        diagonal = np.where(signs[start : start + len(h)], 1.0, slope)
        start += len(h)
        sizes = (np.abs(W[k + 1]) * (np.abs(diagonal) * sizes)).max(axis=1)
        V, h = W[k + 1] @ (diagonal[:, None] * V), W[k + 1] @ (diagonal * h) + b[k + 1]
    return V, h, sizes


def leads(
    W: Sequence[ArrayLike], b: Sequence[ArrayLike], point: ArrayLike, label: int, slope: float = 0.0
) -> list[Fraction]:
    """z_j − z_y of every other class, in exact arithmetic.

    >>> leads([[[1.0, 0.0], [0.0, 1.0]]], [[0.0, 0.5]], [0.25, 0.5], 0)
    [Fraction(3, 4)]
    """
    values = [Fraction(float(v)) for v in np.ravel(np.asarray(point))]
    for k, (weight, bias) in enumerate(zip(W, b, strict=True)):
        if k:
            values = [v if v > 0 else Fraction(slope) * v for v in values]
        rows = np.asarray(weight).tolist()
        values = [
            sum((Fraction(w) * v for w, v in zip(row, values, strict=True)), Fraction(c))
            for row, c in zip(rows, np.asarray(bias).tolist(), strict=True)
        ]
    return [v - values[label] for j, v in enumerate(values) if j != label]


def _require_mistake(
    W: Sequence[Array], b: Sequence[Array], x: Array, delta: Array, label: int, slope: float
) -> None:
    """The nearest mistake is one, up to what 1e-6 of the way to it would change: else the oracle is wrong."""
    before, after = leads(W, b, x, label, slope), leads(W, b, x + delta, label, slope)
    assert max(after) >= -1e-6 * float(max(map(abs, before))), "the nearest mistake is none"


def _nearest(rows: _Rows, n: int, norm: float) -> Array | None:
    """The shortest δ with a · δ ≤ b, None if there is none."""
    if len(rows.b) == 0 or bool((rows.b >= 0).all()):
        return np.zeros(n)
    if norm == 2:
        return _least_distance(rows)
    if norm == math.inf:  # minimise t with |δ_i| ≤ t
        c = np.append(np.zeros(n), 1.0)
        A = np.hstack([rows.a, np.zeros((len(rows.b), 1))])
        eye, one = np.eye(n), -np.ones((n, 1))
        A = np.vstack([A, np.hstack([eye, one]), np.hstack([-eye, one])])
        b = np.concatenate([rows.b, np.zeros(2 * n)])
        bounds = [(None, None)] * n + [(0, None)]
    else:  # δ = δ⁺ − δ⁻
        c, A, b = np.ones(2 * n), np.hstack([rows.a, -rows.a]), rows.b
        bounds = [(0, None)] * (2 * n)
    solved = optimize.linprog(c, A_ub=A, b_ub=b, bounds=bounds, method="highs")
    if solved.status == 2:
        return None
    assert solved.status == 0, solved.message
    return solved.x[:n] if norm == math.inf else solved.x[:n] - solved.x[n:]


def _least_distance(rows: _Rows) -> Array | None:
    """min ‖δ‖² subject to a · δ ≤ b: the dual method of Goldfarb and Idnani (1983), rows of length one.

    It starts at δ = 0 and takes in the row violated most, until none is; δ and the multipliers of the rows
    taken in are optimal for these at every step. Where no step can satisfy a row, nothing is in the set.
    """
    delta, taken, prices = np.zeros(rows.a.shape[1]), list[int](), np.zeros(0)
    for _ in range(100 * len(rows.b)):
        violation = rows.a @ delta - rows.b
        new = int(violation.argmax())
        if violation[new] <= 1e-13 * (1 + np.abs(delta).max()):
            return delta
        price = 0.0
        while True:  # towards the new row, giving up rows whose price falls to zero
            held = rows.a[taken]
            share = np.linalg.lstsq(held.T, rows.a[new], rcond=None)[0] if taken else np.zeros(0)
            across = rows.a[new] - share @ held
            free = float(across @ across) > 1e-20
            full = float(rows.a[new] @ delta - rows.b[new]) / float(across @ across) if free else np.inf
            limits = np.where(share > 1e-13, prices / np.maximum(share, 1e-13), np.inf)
            step = min(full, float(limits.min(initial=np.inf)))
            if step == np.inf or price > BEYOND**2:
                return None
            price += step
            prices = prices - step * share
            if free:
                delta = delta - step * across
            if step == full:
                taken, prices = [*taken, new], np.append(prices, price)
                break
            out = int(limits.argmin())
            taken, prices = taken[:out] + taken[out + 1 :], np.delete(prices, out)
        if np.linalg.norm(delta) > rows.reach:
            return None
    raise AssertionError("the dual method went round in circles")


def nearest_mistake_by_milp(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    image: ArrayLike,
    label: int,
    *,
    box: tuple[float, float] = (0.0, 1.0),
) -> float:
    """The ℓ∞ distance to the nearest mistake in the box, one mixed-integer programme a rival (HiGHS).

    A binary variable a unit says which side of its kink it is on; the bounds that this needs come from
    intervals over the box. Accurate to HiGHS's tolerances, about 1e-6 of the units' sizes.
    """
    W = [np.asarray(w, dtype=np.float64) for w in weights]
    b = [np.asarray(v, dtype=np.float64) for v in biases]
    x = np.asarray(image, dtype=np.float64).ravel()
    n, hidden = len(x), sum(len(v) for v in b[:-1])
    # The variables: the point x', the units' outputs, their binaries, and t.
    size = n + 2 * hidden + 1
    rows, least, most = [], [], []

    def add(low: float, high: float, *terms: tuple[int | slice, ArrayLike]) -> None:
        row = np.zeros(size)
        for at, values in terms:
            row[at] += values
        rows.append(row)
        least.append(low)
        most.append(high)

    lower, upper = np.full(size, -np.inf), np.full(size, np.inf)
    lower[:n], upper[:n] = box
    lower[-1] = 0.0
    for i in range(n):
        add(-np.inf, x[i], (i, 1.0), (-1, -1.0))
        add(x[i], np.inf, (i, 1.0), (-1, 1.0))
    inputs, at = slice(0, n), n
    low, high = np.full(n, box[0]), np.full(n, box[1])
    for w, bias in zip(W[:-1], b[:-1], strict=True):
        centre, spread = w @ (low + high) / 2 + bias, np.abs(w) @ (high - low) / 2
        below, above = np.minimum(centre - spread, 0.0), np.maximum(centre + spread, 0.0)
        for u in range(len(bias)):
            out, binary = at + u, at + hidden + u
            lower[out], upper[out] = 0.0, above[u]
            lower[binary], upper[binary] = 0.0, 1.0
            add(bias[u], np.inf, (out, 1.0), (inputs, -w[u]))  # a ≥ h
            add(
                -np.inf, bias[u] - below[u], (out, 1.0), (inputs, -w[u]), (binary, -below[u])
            )  # a ≤ h − l(1 − s)
            add(-np.inf, 0.0, (out, 1.0), (binary, -above[u]))  # a ≤ us
        inputs, at = slice(at, at + len(bias)), at + len(bias)
        low, high = np.zeros(len(bias)), above
    integral = np.zeros(size)
    integral[n + hidden : n + 2 * hidden] = 1
    cost = np.zeros(size)
    cost[-1] = 1.0
    nearest = math.inf
    for rival in range(len(b[-1])):
        if rival == label:
            continue
        lead = np.zeros(size)
        lead[inputs] = W[-1][rival] - W[-1][label]
        solved = optimize.milp(
            cost,
            integrality=integral,
            bounds=optimize.Bounds(lower, upper),
            constraints=optimize.LinearConstraint(
                np.vstack([*rows, lead]), [*least, b[-1][label] - b[-1][rival]], [*most, np.inf]
            ),
            options={"mip_rel_gap": 0.0},
        )
        assert solved.status in (0, 2), solved.message
        if solved.status == 0:
            nearest = min(nearest, float(solved.fun))
    return nearest
