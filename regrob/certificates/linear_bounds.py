"""Linear lower bounds of the margins over a ball: backward, bend by bend (CROWN, Zhang et al. 2018).

Every bend is replaced by a line below or above it, whichever the sign of what multiplies it asks for. What is
left is affine: z_y − z_j ≥ slopes · (x' − x) + offset on the whole ball, and the least value of that is known
in closed form (`balls`). The lines hold where the operands stay between bounds, which are found in the same
way, one bend after the other: first by intervals, and by rows for those operands that may still reach a
corner.

All is computed in float64, and sound for the network whose weights are the given ones and whose arithmetic
is exact. A row's coefficients are taken as they are, rounded; what pulling them back through an affine map
may lose is at most |row| · error, error = γ |W| |y| with absolute values throughout, and widens the lines
that the row meets.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine.float64 import in_float64
from regrob.affine.graph import tensors_in
from regrob.affine.piecewise_linear import require_known_bends
from regrob.affine.rectified import (
    Clamped,
    Largest,
    Lines,
    Pullback,
    Recorded,
    Site,
    magnitude,
    plain,
    recorded,
    spread,
)
from regrob.certificates.balls import UNIT, Ball, ball_around
from regrob.certificates.relaxation import clamped_lines, largest_lines
from regrob.checks import ImageLabels, ImageLogits, Images, check_images, check_labels

NUMBERS = 2**22
"""So many numbers at most are worked on at a time, in the widest tensor of a pass."""

ROWS = 1024
"""Rows a pass, if the network is narrow."""

TINY = 2.0**-960
"""Far above what underflow loses, and far below everything else."""


class OperandBounds(NamedTuple):
    """Between which values what one bend switches by stays on the balls.

    Attributes:
        operation, module: of the bend, as in `Refusal`.
        lower, upper: (N, M), of what is clamped. Of a maximum: of each entry less the one that is largest at
            the image, which is the largest on the whole ball where no upper bound is positive; of a minimum
            that with the opposite sign.
    """

    operation: str
    module: str
    lower: Tensor
    upper: Tensor


class MarginBounds(NamedTuple):
    """z_y − z_j ≥ slopes · δ + offsets for all δ of the ball, and the least value of that.

    Attributes:
        margins: (N, R), for each rival.
        slopes: (N, R, n).
        offsets: (N, R).
        operands: of each bend in its order.
    """

    margins: Tensor
    slopes: Tensor
    offsets: Tensor
    operands: list[OperandBounds]


def linear_bounds(
    network: nn.Module,
    images: Images,
    labels: ImageLabels,
    radius: float | Tensor,
    *,
    norm: float = 2.0,
    box: tuple[float, float] | None = (0.0, 1.0),
    check: bool = True,
) -> ImageLogits:
    """Lower bounds of z_y − z_j on the balls {‖δ‖_p ≤ radius} within the box, in float64; ∞ for j = y.

    Where all are positive no perturbation of the ball changes the decision.

    Args:
        network: in eval mode; ReLU, leaky ReLU, PReLU, clamps, |·|, max-pools and maxima between affine maps.
        radius: (N,), or one for all.
        norm: p, from 1 to infinity.
        box: the range of the pixels; None for perturbations without one.
        check: `affine.require_known_bends`, some ten passes of two images.

    Raises:
        InputError: as `balls.ball_around`; images or labels that are none; see `affine.recorded`.
        NotPiecewiseLinearError: as `affine.require_known_bends`.
        UnsuitableNetworkError: the network bends otherwise; the bend is named.

    >>> linear_bounds(nn.ReLU(), torch.tensor([[3.0, 1.0]]), torch.tensor([0]), 0.5, norm=1, box=None)
    tensor([[   inf, 1.5000]], dtype=torch.float64)
    """
    analysis = LinearAnalysis(network, images, check=check)
    check_labels(labels, analysis.logits)
    ball = ball_around(images, radius, norm=norm, box=box)
    classes = analysis.logits.shape[1]
    rivals = torch.arange(classes).to(labels).expand(len(images), classes)
    margins = analysis.margins(ball, labels, rivals).margins
    return margins.masked_fill(rivals == labels[:, None], math.inf)


def operand_bounds(
    network: nn.Module,
    images: Images,
    radius: float | Tensor,
    *,
    norm: float = 2.0,
    box: tuple[float, float] | None = (0.0, 1.0),
    check: bool = True,
) -> list[OperandBounds]:
    """Between which values the operands of every bend stay on the balls, bend by bend.

    Args, Raises: as `linear_bounds`.

    >>> bounds = operand_bounds(nn.ReLU(), torch.tensor([[3.0, 1.0]]), 0.5, box=None)
    >>> bounds[0].operation, bounds[0].lower, bounds[0].upper
    ('relu', tensor([[2.5000, 0.5000]], dtype=torch.float64), tensor([[3.5000, 1.5000]], dtype=torch.float64))
    """
    analysis = LinearAnalysis(network, images, check=check)
    return analysis.operands(ball_around(images, radius, norm=norm, box=box))


class LinearAnalysis:
    """A network, recorded once, whose bounds are asked for on one ball after the other.

    Attributes:
        images: (N, …), in float64.
        logits: (N, K).
    """

    def __init__(self, network: nn.Module, images: Images, *, check: bool = True) -> None:
        check_images(images)
        self.network = in_float64(network)
        self.images = images.detach().double()
        if check:
            require_known_bends(self.network, self.images)
        self._records: dict[int, Recorded] = {}
        record = self._recorded(self.images)
        self.logits = record.logits.detach()
        self._pullbacks: dict[int, Pullback] = {}
        self._most_rows = max(1, min(ROWS, NUMBERS // _widest(record)))

    def _pullback(self, rows: int) -> Pullback:
        """One for at least so many rows a pass, or for as many as there is room for."""
        size = min(self._most_rows, max(16, 1 << (rows - 1).bit_length()))
        if size not in self._pullbacks:
            self._pullbacks[size] = Pullback(self.network, self.images, size)
        return self._pullbacks[size]

    def _recorded(self, images: Tensor) -> Recorded:
        if len(images) not in self._records:
            self._records[len(images)] = recorded(self.network, images)
        return self._records[len(images)]

    def operands(self, ball: Ball, at: Tensor | None = None) -> list[OperandBounds]:
        """The bounds of all bends' operands on the balls; `at` says around which image each is."""
        return self._sweep(ball, at)[0]

    def margins(self, ball: Ball, labels: Tensor, rivals: Tensor, at: Tensor | None = None) -> MarginBounds:
        """The bounds of z_y − z_j for each rival j of (N, R)."""
        bounds, lines, z, error = self._sweep(ball, at)
        count = len(z)
        rows = torch.zeros(*rivals.shape, z.shape[1], dtype=z.dtype, device=z.device)
        rows.scatter_(2, labels[:, None, None].expand(-1, rivals.shape[1], 1), 1.0)
        rows.scatter_add_(2, rivals[..., None], -torch.ones_like(rows[..., :1]))
        of = torch.arange(count, device=z.device).repeat_interleave(rivals.shape[1])
        slopes, constants = self._pulled(-1, rows.flatten(0, 1), of, lines)
        here, wide = (rows * z[:, None]).sum(2).flatten(), (rows.abs() * error[:, None]).sum(2).flatten()
        offsets = here + constants
        offsets = offsets - wide - 8 * UNIT * ((rows * z[:, None]).abs().sum(2).flatten() + constants.abs())
        least = ball.least(slopes, of)
        margins = offsets + least - 4 * UNIT * (offsets.abs() + least.abs())
        shape = rivals.shape
        return MarginBounds(
            margins.nan_to_num(-math.inf, posinf=math.inf, neginf=-math.inf).view(shape),
            slopes.view(*shape, -1),
            offsets.view(shape),
            bounds,
        )

    def _sweep(
        self, ball: Ball, at: Tensor | None
    ) -> tuple[list[OperandBounds], list[Lines], Tensor, Tensor]:
        """Bounds and lines of every bend; the logits at the images, and the error of a row of theirs."""
        x = self.images if at is None else self.images[at]
        record = self._recorded(x)
        gamma = 4 * record.roundings * UNIT
        down, up = ball.reach()
        middle, half = x.flatten(1) + (up - down) / 2, (up + down) / 2
        size = x.flatten(1).abs() + torch.maximum(up, down)
        inputs = [x.clone(), *(t.expand(len(x), x[0].numel()).reshape(x.shape) for t in (middle, half, size))]
        bounds: list[OperandBounds] = []
        lines: list[Lines] = []

        def bend(site: Site, operands: list[Tensor]) -> list[Tensor]:
            here, centre, width, largest = (t.clone() for t in operands)
            error = gamma * largest + TINY
            interval = centre - width * (1 + gamma) - error, centre + width * (1 + gamma) + error
            place = len(lines)
            if isinstance(site.kind, Clamped):
                lower, upper = self._clamped(place, site.kind, interval, here, error, ball, lines)
                lines.append(clamped_lines(site.kind, lower, upper, here, error))
                bounds.append(OperandBounds(site.operation, site.module, lower, upper))
                least, most = _range(site.kind, lower, upper)
            else:
                lower, upper = interval if site.kind.sign > 0 else (-interval[1], -interval[0])
                here = site.kind.sign * here
                interval = lower, upper
                leads = self._leads(place, site.kind, interval, here, error, ball, lines)
                lines.append(largest_lines(site.kind, lower, upper, *leads, here, error))
                bounds.append(OperandBounds(site.operation, site.module, *leads))
                ends = site.kind.values(site.kind.sign * lower), site.kind.values(site.kind.sign * upper)
                least, most = ends[:: site.kind.sign]
            values = site.kind.values(operands[0])
            size = torch.maximum(torch.maximum(least.abs(), most.abs()), values.abs())
            return [values, (least + most) / 2, (most - least) / 2 * (1 + 4 * UNIT), size]

        inputs[2] = inputs[2] * (1 + 8 * UNIT) + 4 * UNIT * inputs[1].abs()
        with torch.no_grad():
            z, _, _, largest = record.sweep(inputs, [plain, plain, spread, magnitude], bend)
        return bounds, lines, z, gamma * largest + TINY

    def _clamped(
        self,
        place: int,
        kind: Clamped,
        interval: tuple[Tensor, Tensor],
        here: Tensor,
        error: Tensor,
        ball: Ball,
        lines: list[Lines],
    ) -> tuple[Tensor, Tensor]:
        """The operands' bounds, by rows where an interval leaves a corner inside."""
        lower, upper = interval
        bends = ((lower < kind.low) & (upper > kind.low)) | ((lower < kind.high) & (upper > kind.high))
        of, unit = bends.nonzero(as_tuple=True)
        if not len(of):
            return lower, upper
        least, most = self._range_of_rows(place, of, unit, None, 1, ball, lines)
        offset, slack = here[of, unit], error[of, unit]
        slack = slack + 4 * UNIT * (offset.abs() + least.abs() + most.abs())
        return _narrowed(lower, upper, of, unit, offset + least - slack, offset + most + slack)

    def _leads(
        self,
        place: int,
        kind: Largest,
        interval: tuple[Tensor, Tensor],
        here: Tensor,
        error: Tensor,
        ball: Ball,
        lines: list[Lines],
    ) -> tuple[Tensor, Tensor]:
        """The bounds of each entry's lead over the one that is largest at the image."""
        windows = torch.arange(here.shape[1], device=here.device).view(-1, kind.entries)
        chosen = here.unflatten(1, (-1, kind.entries)).argmax(dim=-1) + windows[:, 0]
        chosen = chosen.repeat_interleave(kind.entries, dim=1)
        lower = interval[0] - interval[1].gather(1, chosen)
        upper = interval[1] - interval[0].gather(1, chosen)
        rounding = 4 * UNIT * (lower.abs() + upper.abs())
        lower, upper = lower - rounding, upper + rounding
        other = windows.flatten() != chosen
        of, unit = (other & (upper > 0)).nonzero(as_tuple=True)
        if not len(of):
            return lower, upper
        rival = chosen[of, unit]
        least, most = self._range_of_rows(place, of, unit, rival, kind.sign, ball, lines)
        offset = here[of, unit] - here[of, rival]
        slack = error[of, unit] + error[of, rival]
        slack = slack + 4 * UNIT * (here[of, unit].abs() + here[of, rival].abs() + least.abs() + most.abs())
        return _narrowed(lower, upper, of, unit, offset + least - slack, offset + most + slack)

    def _range_of_rows(
        self,
        place: int,
        of: Tensor,
        unit: Tensor,
        less: Tensor | None,
        sign: int,
        ball: Ball,
        lines: list[Lines],
    ) -> tuple[Tensor, Tensor]:
        """How far below and above its value at the image an operand, or its lead over another, may come."""
        pullback = self._pullback(len(of))
        least, most = torch.empty(2, len(of), dtype=torch.float64, device=of.device).unbind()
        for part in torch.arange(len(of), device=of.device).split(pullback.rows):
            rows = torch.zeros(len(part), pullback.sizes[place], dtype=torch.float64, device=of.device)
            rows.scatter_(1, unit[part, None], float(sign))
            if less is not None:
                rows.scatter_(1, less[part, None], -float(sign))
            slopes, constants = pullback(place, rows, of[part], lines)
            least[part] = ball.least(slopes, of[part]) + constants
            if pullback.met:
                slopes, constants = pullback(place, -rows, of[part], lines)
            else:
                slopes, constants = -slopes, -constants
            most[part] = -ball.least(slopes, of[part]) - constants
        return least, most

    def _pulled(self, place: int, rows: Tensor, of: Tensor, lines: list[Lines]) -> tuple[Tensor, Tensor]:
        pullback = self._pullback(len(of))
        parts = [
            pullback(place, rows[part], of[part], lines)
            for part in torch.arange(len(of), device=of.device).split(pullback.rows)
        ]
        return torch.cat([slopes for slopes, _ in parts]), torch.cat([constants for _, constants in parts])


def _widest(record: Recorded) -> int:
    """The numbers of one image in the widest tensor."""
    tensors = [t for step in record.steps for t in tensors_in(step.returned)]
    return max(t.numel() // max(len(t), 1) for t in [record.inside, *tensors] if t.ndim)


def _narrowed(
    lower: Tensor, upper: Tensor, of: Tensor, unit: Tensor, least: Tensor, most: Tensor
) -> tuple[Tensor, Tensor]:
    """The bounds, with better ones at some places; NaN, of an overflow, is no bound."""
    lower, upper = lower.clone(), upper.clone()
    lower[of, unit] = torch.fmax(lower[of, unit], least)
    upper[of, unit] = torch.fmin(upper[of, unit], most)
    return lower, upper


def _range(kind: Clamped, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the greatest y: at an end, or at a corner in between."""
    corners = [lower, upper, torch.maximum(lower, kind.low).minimum(upper)]
    corners.append(torch.minimum(upper, kind.high).maximum(lower))
    values = torch.stack([kind.values(corner) for corner in corners])
    rounding = 4 * UNIT * values.abs().amax(dim=0)
    return values.amin(dim=0) - rounding, values.amax(dim=0) + rounding
