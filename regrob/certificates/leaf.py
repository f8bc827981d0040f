"""The nearest mistake where every unit's sign is given: a quadratic programme (ℓ2), or a linear one (ℓ∞).

Where no unit may switch, the units' signs are half-spaces and the margin is affine. The nearest point of
their intersection in the pixel box is found by Newton's method on the dual function; its multipliers add the
half-spaces up to a single one that is as far away, which is the proof.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from regrob.certificates.balls import TINY, nearest
from regrob.certificates.dense_network import Relaxation
from regrob.certificates.rounded import rounding

NEWTON_STEPS = 40

FAR = 1e3
"""How far rounding errors are accounted for where neither box nor radius says."""


class Leaf(NamedTuple):
    """What is known of one pattern of signs.

    Attributes:
        distance: no mistake with these signs is nearer; infinite if there is none.
        step: δ (n,), (nearly) the nearest one.
    """

    distance: float
    step: Tensor


def leaf(relaxation: Relaxation, rival: int, on: Tensor, radius: float, inset: float = 0.0) -> Leaf:
    """The nearest mistake towards a rival with these signs of the units.

    Args:
        relaxation: of the image and its network.
        rival: the class j of the mistakes z_j ≥ z_y.
        on: (units,) bool, which units are on; the others are off.
        radius: up to which distance this is of interest; the distance is no bound beyond it.
        inset: how far inside its half-spaces the point shall be; the distance is then no bound.

    >>> from regrob.affine import ReluLayers
    >>> from regrob.certificates.dense_network import surroundings
    >>> layers = ReluLayers((torch.eye(2).double(),) * 2, (torch.zeros(2).double(),) * 2)
    >>> around = surroundings(layers, torch.tensor([0.75, 0.25]).double(), 0, None, 2.0)
    >>> round(leaf(Relaxation(around), 1, torch.ones(2, dtype=torch.bool), 1.0).distance, 4)  # √2/4
    0.3536
    """
    reach = min(radius, relaxation.around.farthest())
    reach = reach if math.isfinite(reach) else FAR
    g, h = half_spaces(relaxation, rival, on, reach)
    around = relaxation.around
    size = torch.linalg.vector_norm(g, dim=1).clamp_min(TINY)
    g, h = g / size[:, None], h / size + inset
    if around.norm == 2.0:
        price, step = _quadratic(g, h, around.low, around.high)
    else:
        price, step = _linear(g, h, around.low, around.high, radius)
    row, offset = (price @ g)[None], (price @ h)[None]
    slack = rounding(len(h)) * (price @ (h.abs() + reach * math.sqrt(len(around.x))))
    proved = nearest(row, offset - slack, around.low, around.high, around.norm)
    return Leaf(float(proved.distance), step)


def half_spaces(relaxation: Relaxation, rival: int, on: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """g (units + 1, n) and h: g·δ + h ≤ 0 where the units have these signs, the last where the margin is ≤ 0.

    Rounding is in h's favour: a point that is slightly outside may count as inside, at least up to `reach`.
    """
    around = relaxation.around
    signs = on.split(around.widths)
    rows, offsets = torch.eye(len(around.x), dtype=torch.float64), around.x
    g, h = [], []
    for k, active in enumerate(signs):
        rows = relaxation.weights[k] @ rows
        offsets = relaxation.weights[k] @ offsets + relaxation.biases[k]
        turn = torch.where(active, -1.0, 1.0).double()
        g.append(turn[:, None] * rows)
        h.append(turn * offsets - relaxation.slack(k, reach))
        rows, offsets = rows * active[:, None], offsets * active
    last = relaxation.rows[rival][None]
    g.append(last @ rows)
    slack = relaxation.slack(relaxation.depth, reach)[rival]
    h.append(last @ offsets + relaxation.offsets[rival] - slack)
    return torch.cat(g), torch.cat(h)


def _quadratic(g: Tensor, h: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Multipliers λ ≥ 0 and the point of min ‖δ‖²/2 with gδ + h ≤ 0 in the box, by projected Newton steps."""
    price = torch.zeros_like(h)

    def at(price: Tensor) -> tuple[float, Tensor, Tensor]:
        b = price @ g
        step = (-b).clamp(low, high)
        over = g @ step + h
        return float(0.5 * (step @ step) + price @ over), step, over

    value, step, over = at(price)
    for _ in range(NEWTON_STEPS):
        if float(over.max()) <= 1e-12 and float((price * over).abs().max()) <= 1e-12:
            break
        active = (price > 0) | (over > 1e-13)
        free = (step > low) & (step < high)
        held = torch.where(free, 0.0, step)
        goal = torch.zeros_like(price)
        while bool(active.any()):  # drop what the equations would give a negative multiplier
            some = g[active][:, free]
            gram = some @ some.T
            gram.diagonal().add_(1e-13 * float(gram.diagonal().max().clamp_min(1e-12)))
            solution, failed = torch.linalg.solve_ex(gram, h[active] + g[active] @ held)
            if int(failed) or not bool(solution.isfinite().all()):
                return price, step
            goal = torch.zeros_like(price)
            goal[active] = solution
            if bool((solution >= 0).all()):
                break
            active = active & (goal > 0)
        move = goal.clamp_min(0.0) - price
        gain, share = False, 1.0
        for direction in (move, over):
            share = 1.0
            for _ in range(20):
                tried = (price + share * direction).clamp(0.0, 1e12)
                ahead = at(tried)
                if ahead[0] > value:
                    price, (value, step, over), gain = tried, ahead, True
                    break
                share *= 0.5
            if gain:
                break
        if not gain or value > 1e12:
            break
    return price, step


def _linear(g: Tensor, h: Tensor, low: Tensor, high: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """The same for min ‖δ‖∞, by scipy; where no point is left, multipliers that prove it up to a radius."""
    import numpy as np
    from scipy.optimize import linprog

    count, pixels = g.shape
    objective = np.zeros(pixels + 1)
    objective[-1] = 1.0
    eye, ones = np.eye(pixels), np.ones((pixels, 1))
    above = np.block([[g.numpy(), np.zeros((count, 1))], [eye, -ones], [-eye, -ones]])
    limits = np.concatenate([-h.numpy(), np.zeros(2 * pixels)])
    bounds = [*zip(low.tolist(), high.tolist(), strict=True), (0.0, None)]
    solved = linprog(objective, above, limits, bounds=bounds, method="highs")
    if solved.status != 0:  # by how much the half-spaces must be moved until they meet in the cube
        above = np.hstack([g.numpy(), -np.ones((count, 1))])
        cube = zip(low.clamp_min(-radius).tolist(), high.clamp_max(radius).tolist(), strict=True)
        bounds = [*cube, (None, None)]
        solved = linprog(objective, above, -h.numpy(), bounds=bounds, method="highs")
    if solved.status != 0:
        return torch.zeros_like(h), torch.zeros(pixels, dtype=torch.float64)
    price = torch.from_numpy(-solved.ineqlin.marginals[:count]).clamp_min(0.0)
    return price, torch.from_numpy(solved.x[:-1])
