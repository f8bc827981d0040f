"""Linear bounds on dense layers of ReLUs, for many nodes of a search at once.

A *node* is the part of a ball in the pixel box in which some units' signs are given. Wherever a mistake in
it may lie, a linear lower bound of the margin is at most zero: this half-space cuts the ball down to a cap,
on which the units' bounds are tighter, and so is the next bound of the margin. Its slopes α, and the
multipliers β of the given signs, are chosen to move the half-space away from the image. All is float64, and
every bound gives up a slack for rounding: γ_n times what the network's absolute values could add up to.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from regrob.affine import ReluLayers
from regrob.certificates.balls import least, nearest, room
from regrob.certificates.rounded import rounding

ASCENT_RATE, ASCENT_DECAY = 0.3, 0.9
"""Adam's step for α and β, and by what it shrinks at each step."""


class Surroundings(NamedTuple):
    """An image, its network and its box: what does not change in a search.

    Attributes:
        layers: z = W_L σ(… σ(W_1 x + b_1) …) + b_L.
        x: the image (n,), float64.
        low, high: how far down and up each pixel may go, (n,); infinite without a box.
        norm: 2 or infinity.
        label: y.
    """

    layers: ReluLayers
    x: Tensor
    low: Tensor
    high: Tensor
    norm: float
    label: int

    @property
    def widths(self) -> list[int]:
        """Units of each hidden layer."""
        return [len(bias) for bias in self.layers.biases[:-1]]

    def farthest(self) -> float:
        """Distance to the farthest corner of the box, rounded up; infinite without one."""
        reach = torch.maximum(-self.low, self.high)
        size = float(torch.linalg.vector_norm(reach, ord=self.norm))
        return size * (1.0 + rounding(len(reach)))


def surroundings(
    layers: ReluLayers, x: Tensor, label: int, box: tuple[float, float] | None, norm: float
) -> Surroundings:
    """Of an image (n,), the steps that stay in the box rounded outwards.

    >>> layers = ReluLayers((torch.eye(2).double(),), (torch.zeros(2).double(),))
    >>> surroundings(layers, torch.tensor([0.25, 1.0]).double(), 0, (0.0, 1.0), 2.0).widths
    []
    """
    x = x.detach().flatten().double()
    return Surroundings(layers, x, *room(x, box), norm, label)


class Bounds(NamedTuple):
    """lower ≤ pre-activation ≤ upper at each node, one tensor (B, units) a hidden layer."""

    lower: list[Tensor]
    upper: list[Tensor]

    def empty(self, nodes: int) -> Tensor:
        """Which of the B nodes hold no point: (B,)."""
        empty = torch.zeros(nodes, dtype=torch.bool)
        for lower, upper in zip(*self, strict=True):
            empty |= (lower > upper).any(dim=1)
        return empty

    def unstable(self, nodes: int) -> Tensor:
        """How many units may switch in each of the B nodes: (B,)."""
        counts = torch.zeros(nodes, dtype=torch.int64)
        for lower, upper in zip(*self, strict=True):
            counts += ((lower < 0) & (upper > 0)).sum(dim=1)
        return counts


class Caps(NamedTuple):
    """A half-space g·δ + h ≤ 0 a node, g (B, n) and h (B,), in which all its mistakes in the ball lie."""

    g: Tensor
    h: Tensor


class Margins(NamedTuple):
    """What the linear lower bound of the margin says at each node.

    Attributes:
        distance: (B,), to the half-space, rounded down.
        cap: that half-space.
        step: δ (B, n), its nearest point.
        slopes, multipliers: α and β of each hidden layer, (B, units).
        gaps: what the relaxation loses at the nearest point, by unit, one (B, units) a hidden layer.
    """

    distance: Tensor
    cap: Caps
    step: Tensor
    slopes: list[Tensor]
    multipliers: list[Tensor]
    gaps: list[Tensor]


class ReluLines(NamedTuple):
    """Lines below and above ReLU on [lower, upper]: (B, units) each.

    Attributes:
        on: one where the unit is known to be on.
        open: one where it may switch.
        slope: of the upper line: 1 if on, 0 if off, u/(u − l) if open.
        offset: of the upper line: −l u/(u − l) if open, else 0.
        default: the lower line's slope that leaves the smaller area.
    """

    on: Tensor
    open: Tensor
    slope: Tensor
    offset: Tensor
    default: Tensor


def lines(lower: Tensor, upper: Tensor) -> ReluLines:
    """The triangle relaxation of ReLU.

    >>> above = lines(torch.tensor([[-1.0, 1.0]]), torch.tensor([[3.0, 2.0]]))
    >>> above.slope, above.offset
    (tensor([[0.7500, 1.0000]]), tensor([[0.7500, 0.0000]]))
    """
    on = (lower >= 0).to(lower)
    unknown = ((lower < 0) & (upper > 0)).to(lower)
    rise = unknown * (upper / (upper - lower).clamp_min(torch.finfo(lower.dtype).tiny))
    return ReluLines(
        on, unknown, on + rise, rise * lower.clamp_max(0.0).abs(), on + unknown * (upper > -lower)
    )


class Relaxation:
    """Linear bounds around one image.

    >>> layers = ReluLayers((torch.eye(2).double(),) * 2, (torch.zeros(2).double(),) * 2)
    >>> around = surroundings(layers, torch.tensor([2.0, 1.0]).double(), 0, None, 2.0)
    >>> relaxed, radius = Relaxation(around), torch.tensor([0.9]).double()
    >>> signs = torch.zeros(1, 2, dtype=torch.int8)
    >>> units = relaxed.bounds(radius, signs)
    >>> units.lower  # no unit may switch, so that the margin's bound is exact
    [tensor([[1.1000, 0.1000]], dtype=torch.float64)]
    >>> relaxed.margins(torch.tensor([1]), radius, units, signs).distance  # 1/√2
    tensor([0.7071], dtype=torch.float64)
    """

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        layers = around.layers
        self.weights, self.biases = layers.weights, layers.biases
        self.depth = len(self.weights) - 1
        self.at_image = layers.preactivations(around.x)
        label = around.label
        self.rows = self.weights[-1][label] - self.weights[-1]  # z_y − z_j as functions of the last ReLUs
        self.offsets = self.biases[-1][label] - self.biases[-1]
        self._sizes: dict[float, list[Tensor]] = {}

    def sizes(self, radius: float) -> list[Tensor]:
        """What the absolute values in each layer add up to at most in the ball; the margins' last."""
        power = 2.0 ** math.ceil(math.log2(radius)) if 0 < radius < math.inf else radius
        if power not in self._sizes:
            x = self.around.x
            reach = torch.maximum(-self.around.low, self.around.high).clamp_max(power)
            size, sizes = x.abs() + reach, []
            for weight, bias in zip(self.weights, self.biases, strict=True):
                sizes.append(weight.abs() @ size + bias.abs())
                size = sizes[-1]
            sizes[-1] = sizes[-1] + sizes[-1][self.around.label]
            self._sizes[power] = sizes
        return self._sizes[power]

    def slack(self, layer: int, radius: float) -> Tensor:
        """What rounding may change in bounds of a layer's units, (units,)."""
        operations = len(self.around.x) + sum(len(bias) + 8 for bias in self.biases[: layer + 1])
        return rounding(operations) * self.sizes(radius)[layer]

    def bounds(
        self, radius: Tensor, signs: Tensor, known: Bounds | None = None, caps: Caps | None = None
    ) -> Bounds:
        """Bounds on all hidden units at each node.

        Args:
            radius: (B,), of the balls.
            signs: (B, units), int8: 1 where a unit is on by the node's definition, −1 where it is off.
            known: bounds that hold already; only the units that they leave open are bounded anew.
            caps: where the nodes' mistakes lie.
        """
        bounds = Bounds([], [])
        largest = float(radius.max())
        given = signs.split(self.around.widths, dim=1)
        relaxed: list[ReluLines] = []
        for layer in range(self.depth):
            slack, size = self.slack(layer, largest), self.sizes(largest)[layer]
            if known is None:
                lower, upper = (-size).repeat(len(radius), 1), size.repeat(len(radius), 1)
            else:
                lower, upper = known.lower[layer].clone(), known.upper[layer].clone()
            node, unit = ((lower < 0) & (upper > 0)).nonzero(as_tuple=True)
            if known is None:
                node, unit = (lower == lower).nonzero(as_tuple=True)
            for sign in (1.0, -1.0):
                rows, offset = sign * self.weights[layer][unit], sign * self.biases[layer][unit]
                a, c = self._to_input(rows, offset, node, layer, relaxed)
                cap = None if caps is None else (caps.g[node], caps.h[node])
                value = c + least(
                    a, radius[node], self.around.low, self.around.high,
                    None if cap is None else cap[0], None if cap is None else cap[1], self.around.norm,
                )  # fmt: skip
                value = (value - slack[unit]).nan_to_num(-math.inf, math.inf, -math.inf)
                if sign > 0:
                    lower[node, unit] = torch.maximum(lower[node, unit], value)
                else:
                    upper[node, unit] = torch.minimum(upper[node, unit], -value)
            lower = torch.where(given[layer] > 0, lower.clamp_min(0.0), lower)
            upper = torch.where(given[layer] < 0, upper.clamp_max(0.0), upper)
            bounds.lower.append(lower)
            bounds.upper.append(upper)
            relaxed.append(lines(lower, upper))
        return bounds

    def _to_input(
        self, rows: Tensor, offset: Tensor, node: Tensor, layer: int, relaxed: list[ReluLines]
    ) -> tuple[Tensor, Tensor]:
        """Lower bounds a·δ + c of functions (R, units) of the ReLUs before a layer, one of a node each."""
        for below in range(layer - 1, -1, -1):
            line = relaxed[below]
            positive, negative = rows.clamp_min(0.0), rows.clamp_max(0.0)
            offset = offset + torch.linalg.vecdot(negative, line.offset[node])
            rows = positive * line.default[node] + negative * line.slope[node]
            offset = offset + rows @ self.biases[below]
            rows = rows @ self.weights[below]
        return rows, offset + rows @ self.around.x

    def margins(
        self,
        rivals: Tensor,
        radius: Tensor,
        bounds: Bounds,
        signs: Tensor,
        *,
        slopes: list[Tensor] | None = None,
        multipliers: list[Tensor] | None = None,
        steps: int = 16,
    ) -> Margins:
        """The half-space of each node's mistakes z_y ≤ z_j, moved away by gradient ascent in α and β.

        Args:
            rivals: j, (B,).
            radius: (B,), of the balls on which the bounds hold.
            bounds, signs: of the nodes.
            slopes, multipliers: where to start.
            steps: at most.
        """
        around, depth = self.around, self.depth
        last, offsets = self.rows[rivals], self.offsets[rivals]
        slack = self.slack(depth, float(radius.max()))[rivals]
        relaxed = [lines(low, up) for low, up in zip(*bounds, strict=True)]
        given = [part.to(last) for part in signs.split(around.widths, dim=1)]
        alpha = [line.default.clone() for line in relaxed] if slopes is None else list(slopes)
        beta = [torch.zeros_like(a) for a in alpha] if multipliers is None else list(multipliers)
        moments = [(torch.zeros_like(v), torch.zeros_like(v)) for v in (*alpha, *beta)]
        best: Margins | None = None
        for count in range(1, steps + 1):
            above: list[Tensor] = [last] * depth  # what multiplies each ReLU
            chosen: list[Tensor] = [last] * depth  # the slope of the line that bounds it
            rows, c = last, offsets
            for k in range(depth - 1, -1, -1):
                line = relaxed[k]
                above[k] = rows
                lower_line = line.on + line.open * alpha[k]
                chosen[k] = torch.where(rows > 0, lower_line, line.slope)
                c = c + torch.linalg.vecdot(rows.clamp_max(0.0), line.offset)
                rows = rows * chosen[k] - beta[k] * given[k]
                c = c + rows @ self.biases[k]
                rows = rows @ self.weights[k]
            c = c + rows @ around.x
            priced = sum(
                ((beta[k] * given[k].abs()) @ self.sizes(float(radius.max()))[k] for k in range(depth)),
                start=torch.zeros_like(c),
            )
            c = c - slack - rounding(len(around.x) + sum(around.widths)) * priced
            c = c.nan_to_num(-math.inf, math.inf, -math.inf)
            distance, step, _ = nearest(rows, c, around.low, around.high, around.norm)
            # The margin's bound with these lines, layer by layer forwards: what α and β multiply.
            value, heights = around.x + step, []
            for k in range(depth):
                heights.append(value @ self.weights[k].T + self.biases[k])
                value = chosen[k] * heights[k] + relaxed[k].offset * (above[k] < 0)
            if best is None:
                best = Margins(distance, Caps(rows, c), step, [], [], [])
                kept = [torch.clone(v) for v in (*alpha, *beta)]
            else:
                lifts = (distance == 0) & (best.distance == 0) & (c > best.cap.h)
                better = (distance > best.distance) | lifts
                pick = better[:, None]
                best = Margins(
                    torch.where(better, distance, best.distance),
                    Caps(torch.where(pick, rows, best.cap.g), torch.where(better, c, best.cap.h)),
                    torch.where(pick, step, best.step), [], [], [],
                )  # fmt: skip
                kept = [torch.where(pick, v, old) for v, old in zip((*alpha, *beta), kept, strict=True)]
            if count == steps or bool((best.distance >= radius).all()):
                break
            rate = ASCENT_RATE * ASCENT_DECAY**count
            for k in range(depth):
                rise = relaxed[k].open * above[k].clamp_min(0.0) * heights[k]
                alpha[k] = (alpha[k] + rate * _adam(rise, moments[k], count)).clamp(0.0, 1.0)
                unit = above[k].abs().amax(dim=1, keepdim=True)
                fall = -given[k] * heights[k]
                beta[k] = (beta[k] + rate * unit * _adam(fall, moments[depth + k], count)).clamp_min(0.0)
        assert best is not None
        gaps = self._gaps(best.step, above, chosen, relaxed, bounds)
        return best._replace(slopes=kept[:depth], multipliers=kept[depth:], gaps=gaps)

    def _gaps(
        self,
        step: Tensor,
        above: list[Tensor],
        chosen: list[Tensor],
        relaxed: list[ReluLines],
        bounds: Bounds,
    ) -> list[Tensor]:
        """What each open unit's line loses at x + δ, in the margin's units."""
        gaps = []
        heights = self.around.layers.preactivations(self.around.x + step)
        for k in range(self.depth):
            z = torch.minimum(torch.maximum(heights[k], bounds.lower[k]), bounds.upper[k])
            line = chosen[k] * z + relaxed[k].offset * (above[k] < 0)
            gaps.append(relaxed[k].open * above[k].abs() * (z.clamp_min(0.0) - line).abs())
        return gaps


def _adam(gradient: Tensor, moments: tuple[Tensor, Tensor], count: int) -> Tensor:
    """Adam's direction; the moments are updated in place."""
    first, second = moments
    first.mul_(0.8).add_(gradient, alpha=0.2)
    second.mul_(0.95).addcmul_(gradient, gradient, value=0.05)
    rise: Tensor = (first / (1 - 0.8**count)) / ((second / (1 - 0.95**count)).sqrt() + 1e-30)
    return rise
