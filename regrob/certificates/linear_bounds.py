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
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine.float64 import checked_in_float64
from regrob.affine.graph import tensors_in
from regrob.affine.rectified import (
    Clamped,
    Kind,
    Largest,
    Lines,
    Recorded,
    RelaxedPullback,
    Site,
    magnitude,
    plain,
    recorded,
    spread,
)
from regrob.certificates.balls import Ball, ball_around, lengths
from regrob.certificates.relaxation import clamped_lines, largest_lines
from regrob.certificates.rounded import UNIT, accumulated
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
    """

    margins: Tensor
    slopes: Tensor
    offsets: Tensor


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
    margins = analysis.margins(ball, labels, rivals, analysis.relaxed(ball)).margins
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
    return analysis.relaxed(ball_around(images, radius, norm=norm, box=box)).bounds


class _ConstantOfImages(nn.Module):
    """A network with constant logits, as a function of the images all the same."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """The logits, and nothing of each image."""
        logits: Tensor = self.network(images)
        return logits + 0.0 * images.flatten(1).sum(dim=1, keepdim=True)


class OutOfTimeError(Exception):
    """A bound was not finished in its time."""


class LinearAnalysis:
    """A network, recorded once, whose bounds are asked for on one ball after the other.

    Each may raise `OutOfTimeError`: before a pass once `going` says no.

    Attributes:
        images: (N, …), in float64.
        logits: (N, K).
    """

    def __init__(
        self,
        network: nn.Module,
        images: Images,
        *,
        check: bool = True,
        going: Callable[[], bool] | None = None,
    ) -> None:
        check_images(images)
        self._going = going or (lambda: True)
        self.network, self.images = checked_in_float64(network, images, check=check)
        with torch.enable_grad():
            z = self.network(self.images[:1].clone().requires_grad_(True))
        if isinstance(z, Tensor) and not z.requires_grad:
            self.network = _ConstantOfImages(self.network)
        self._records: dict[int, Recorded] = {}
        record = self._recorded(self.images)
        self.logits = record.logits.detach()
        self._pullbacks: dict[int, RelaxedPullback] = {}
        self._most_rows = max(1, min(ROWS, NUMBERS // _widest(record)))
        self._first = _FirstMap(self._pullback(self._most_rows)) if record.sites else None

    def _pullback(self, rows: int) -> RelaxedPullback:
        """One for at least so many rows a pass, or for as many as there is room for."""
        if not self._going():
            raise OutOfTimeError
        size = min(self._most_rows, max(16, 1 << (rows - 1).bit_length()))
        if size not in self._pullbacks:
            self._pullbacks[size] = RelaxedPullback(self.network, self.images, size)
        return self._pullbacks[size]

    def _recorded(self, images: Tensor) -> Recorded:
        if len(images) not in self._records:
            self._records[len(images)] = recorded(self.network, images)
        return self._records[len(images)]

    def relaxed(self, ball: Ball, at: Tensor | None = None, known: Relaxed | None = None) -> Relaxed:
        """Bounds and lines of every bend on the balls.

        Args:
            ball: one for each image of `at`.
            at: (I,), around which image each ball is; None for all images.
            known: what holds already, of larger balls; only what it leaves open is bounded anew.
        """
        x = self.images if at is None else self.images[at]
        record = self._recorded(x)
        gamma = accumulated(4 * (record.roundings + _widest(record)))
        down, up = ball.reach()
        middle, half = x.flatten(1) + (up - down) / 2, (up + down) / 2
        size = x.flatten(1).abs() + torch.maximum(up, down)
        half = half * (1 + 8 * UNIT) + 4 * UNIT * middle.abs()
        inputs = [x.clone(), *(t.expand(len(x), x[0].numel()).reshape(x.shape) for t in (middle, half, size))]
        bounds: list[OperandBounds] = []
        lines: list[Lines] = []
        parts: list[_Operands] = []

        def bend(site: Site, operands: list[Tensor]) -> list[Tensor]:
            here, centre, width, largest = (t.clone() for t in operands)
            error = gamma * largest + TINY
            sign = site.kind.sign if isinstance(site.kind, Largest) else 1
            lower = sign * centre - width * (1 + gamma) - error
            upper = sign * centre + width * (1 + gamma) + error
            place = len(lines)
            own = _Operands(sign * here, error, lower, upper)
            parts.append(own)
            old = None if known is None else known.bounds[place]
            if isinstance(site.kind, Clamped):
                lower, upper = self._clamped(place, site.kind, own, ball, lines, old)
                lines.append(clamped_lines(site.kind, lower, upper, here, error))
                least, most = _range(site.kind, lower, upper)
                bounds.append(OperandBounds(site.operation, site.module, lower, upper))
            else:
                leads = self._leads(place, site.kind, own, ball, lines, old)
                lines.append(largest_lines(site.kind, lower, upper, *leads, own.here, error))
                ends = site.kind.values(sign * lower), site.kind.values(sign * upper)
                least, most = ends[::sign]
                bounds.append(OperandBounds(site.operation, site.module, *leads))
            values = site.kind.values(operands[0])
            size = torch.maximum(torch.maximum(least.abs(), most.abs()), values.abs())
            return [values, (least + most) / 2, (most - least) / 2 * (1 + 4 * UNIT), size]

        with torch.no_grad():
            z, _, _, largest = record.sweep(inputs, [plain, plain, spread, magnitude], bend)
        kinds = [site.kind for site in record.sites.values()]
        return Relaxed(bounds, lines, z, gamma * largest + TINY, kinds, parts)

    def margins(
        self, ball: Ball, labels: Tensor, rivals: Tensor, relaxed: Relaxed, lines: list[Lines] | None = None
    ) -> MarginBounds:
        """The bounds of z_y − z_j for each rival j of (I, R), on balls on which what is relaxed holds.

        Args:
            lines: others than the relaxation's own; the result can be differentiated by them.
        """
        z, error = relaxed.logits, relaxed.error
        rows = torch.zeros(*rivals.shape, z.shape[1], dtype=z.dtype, device=z.device)
        rows.scatter_(2, labels[:, None, None].expand(-1, rivals.shape[1], 1), 1.0)
        rows.scatter_add_(2, rivals[..., None], -torch.ones_like(rows[..., :1]))
        of = torch.arange(len(z), device=z.device).repeat_interleave(rivals.shape[1])
        pullback = self._pullback(len(of))
        parts = [
            pullback(
                -1, rows.flatten(0, 1)[part], of[part], lines or relaxed.lines, create_graph=lines is not None
            )
            for part in torch.arange(len(of), device=of.device).split(pullback.rows)
        ]
        slopes, constants = (torch.cat([part[i] for part in parts]) for i in (0, 1))
        if self._first is not None:
            slopes = self._first.to_pixels(slopes)
        here, wide = (rows * z[:, None]).sum(2).flatten(), (rows.abs() * error[:, None]).sum(2).flatten()
        rounding = 8 * UNIT * ((rows * z[:, None]).abs().sum(2).flatten() + constants.detach().abs())
        offsets = here + constants - wide - rounding
        least = ball.least(slopes.detach(), of)
        margins = offsets.detach() + least - 4 * UNIT * (offsets.detach().abs() + least.abs())
        shape = rivals.shape
        return MarginBounds(
            margins.nan_to_num(-math.inf, posinf=math.inf, neginf=-math.inf).view(shape),
            slopes.view(*shape, -1),
            offsets.view(shape),
        )

    def _clamped(
        self,
        place: int,
        kind: Clamped,
        own: _Operands,
        ball: Ball,
        lines: list[Lines],
        old: OperandBounds | None,
    ) -> tuple[Tensor, Tensor]:
        """The operands' bounds, by rows where an interval leaves a corner inside."""
        lower, upper = own.lower, own.upper
        if old is not None:
            lower, upper = torch.maximum(lower, old.lower), torch.minimum(upper, old.upper)
        bends = ((lower < kind.low) & (upper > kind.low)) | ((lower < kind.high) & (upper > kind.high))
        of, unit = bends.nonzero(as_tuple=True)
        return self._narrowed(place, lower, upper, of, unit, None, 1, own, ball, lines)

    def _leads(
        self,
        place: int,
        kind: Largest,
        own: _Operands,
        ball: Ball,
        lines: list[Lines],
        old: OperandBounds | None,
    ) -> tuple[Tensor, Tensor]:
        """The bounds of each entry's lead over the one that is largest at the image."""
        windows = torch.arange(own.here.shape[1], device=own.here.device).view(-1, kind.entries)
        chosen = own.here.unflatten(1, (-1, kind.entries)).argmax(dim=-1) + windows[:, 0]
        chosen = chosen.repeat_interleave(kind.entries, dim=1)
        lower = own.lower - own.upper.gather(1, chosen)
        upper = own.upper - own.lower.gather(1, chosen)
        rounding = 4 * UNIT * (lower.abs() + upper.abs())
        other = windows.flatten() != chosen
        lower = torch.where(other, lower - rounding, 0.0)
        upper = torch.where(other, upper + rounding, 0.0)
        if old is not None:
            lower, upper = torch.maximum(lower, old.lower), torch.minimum(upper, old.upper)
        of, unit = (upper > 0).nonzero(as_tuple=True)
        less = chosen[of, unit]
        return self._narrowed(place, lower, upper, of, unit, less, kind.sign, own, ball, lines)

    def _narrowed(
        self,
        place: int,
        lower: Tensor,
        upper: Tensor,
        of: Tensor,
        unit: Tensor,
        less: Tensor | None,
        sign: int,
        own: _Operands,
        ball: Ball,
        lines: list[Lines],
    ) -> tuple[Tensor, Tensor]:
        """The bounds, with those by rows at some places: of an operand, or of its lead over another.

        NaN, of an overflow, is no bound.
        """
        if not len(of):
            return lower, upper
        least, most = self._range_of_rows(place, of, unit, less, sign, ball, lines)
        here, slack = own.here[of, unit], own.error[of, unit]
        sizes = here.abs() + least.abs() + most.abs()
        if less is not None:
            sizes = sizes + own.here[of, less].abs()
            here, slack = here - own.here[of, less], slack + own.error[of, less]
        slack = slack + 8 * UNIT * sizes
        lower, upper = lower.clone(), upper.clone()
        lower[of, unit] = torch.fmax(lower[of, unit], here + least - slack)
        upper[of, unit] = torch.fmin(upper[of, unit], here + most + slack)
        return lower, upper

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
        assert self._first is not None  # there is a bend
        if place == 0 and less is None:
            return self._first.range_of(unit, of, ball)
        pullback = self._pullback(len(of))
        least, most = torch.empty(2, len(of), dtype=torch.float64, device=of.device).unbind()
        for part in torch.arange(len(of), device=of.device).split(pullback.rows):
            if not self._going():
                raise OutOfTimeError
            rows = torch.zeros(len(part), pullback.sizes[place], dtype=torch.float64, device=of.device)
            rows.scatter_(1, unit[part, None], float(sign))
            if less is not None:
                rows.scatter_(1, less[part, None], -float(sign))
            for side, ends in ((1.0, least), (-1.0, most)):
                slopes, constants = pullback(place, side * rows, of[part], lines)
                bound = self._first.least(slopes, of[part], ball) if place else ball.least(slopes, of[part])
                ends[part] = side * (bound + constants)
        return least, most


class _Operands(NamedTuple):
    """What a sweep knows of one bend's operands; of a minimum, negated.

    Attributes:
        here: their values at the images, (I, M).
        error: by how much a computed one may differ from what it is, in all that is pulled back from it.
        lower, upper: bounds by intervals.
    """

    here: Tensor
    error: Tensor
    lower: Tensor
    upper: Tensor


class Relaxed(NamedTuple):
    """What holds of a network on a ball around each of I images.

    Attributes:
        bounds, lines: of each bend in its order.
        logits: at the images, (I, K).
        error: by how much a computed logit may differ from it, in all that is pulled back from it.
        kinds, operands: of each bend.
    """

    bounds: list[OperandBounds]
    lines: list[Lines]
    logits: Tensor
    error: Tensor
    kinds: list[Kind]
    operands: list[_Operands]

    def of(self, at: Tensor) -> Relaxed:
        """What holds of the images `at` among these."""
        return Relaxed(
            [bound._replace(lower=bound.lower[at], upper=bound.upper[at]) for bound in self.bounds],
            [Lines(*(part[at] for part in line)) for line in self.lines],
            self.logits[at],
            self.error[at],
            self.kinds,
            [_Operands(*(part[at] for part in own)) for own in self.operands],
        )

    def empty(self) -> Tensor:
        """Around which images nothing is left of the ball: (I,)."""
        crossed = [(bound.lower > bound.upper).any(dim=1) for bound in self.bounds]
        return torch.stack(crossed).any(dim=0) if crossed else torch.zeros(len(self.logits), dtype=torch.bool)

    def with_shares(self, shares: list[Tensor | None]) -> list[Lines]:
        """The lines with other slopes at the corners, where these are free; None leaves a bend's."""
        made: list[Lines] = []
        for kind, bound, own, line, share in zip(
            self.kinds, self.bounds, self.operands, self.lines, shares, strict=True
        ):
            if share is None or not isinstance(kind, Clamped):
                made.append(line)
            else:
                made.append(clamped_lines(kind, bound.lower, bound.upper, own.here, own.error, share))
        return made


class _FirstMap:
    """The affine map from the pixels to the first bend's operands, which is the same for all images.

    As a matrix if there is room, and with the non-zero columns of each row alone if they are few.
    """

    def __init__(self, pullback: RelaxedPullback) -> None:
        self._pullback = pullback
        units, self.lines = pullback.sizes[0], list[Lines]()
        parts: list[Tensor] = []
        for part in torch.arange(units).split(pullback.rows):
            rows = torch.zeros(len(part), units, dtype=torch.float64)
            rows[torch.arange(len(part)), part] = 1.0
            parts.append(pullback(0, rows, torch.zeros_like(part), [])[0])
            if len(parts) * parts[0].numel() > 16 * NUMBERS:
                parts = []
                break
        self.matrix = torch.cat(parts) if parts else None
        self._columns: Tensor | None = None
        self._few: Tensor | None = None
        self._gram: Tensor | None = None
        if self.matrix is None:
            return
        pixels = self.matrix.shape[1]
        most = max(1, int((self.matrix != 0).sum(dim=1).max()))  # one, where no pixel counts
        if most <= pixels // 4:
            self._columns = (self.matrix != 0).int().argsort(dim=1, descending=True, stable=True)[:, :most]
            self._few = self.matrix.gather(1, self._columns)
        self._gathers = pullback.gathered and units <= 2 * pixels
        if self._gathers and units <= pixels:
            self._gram = self.matrix @ self.matrix.T

    def to_pixels(self, rows: Tensor) -> Tensor:
        """Slopes of the pixels from coefficients (P, M) of the operands."""
        if not self._pullback.gathered:
            return rows
        if self.matrix is not None and self._gathers:
            return rows @ self.matrix
        parts = [
            self._pullback(0, part, torch.zeros(len(part), dtype=torch.int64), [])[0]
            for part in rows.split(self._pullback.rows)
        ]
        return torch.cat(parts)

    def least(self, rows: Tensor, of: Tensor, ball: Ball) -> Tensor:
        """A lower bound of rows · what the operands change by, on the balls: (P,)."""
        plain_ball = ball.below is None and ball.normal is None and ball.norm == 2
        if self._gram is None or self.matrix is None or not plain_ball:
            return ball.least(self.to_pixels(rows), of)
        squares = ((rows @ self._gram) * rows).sum(dim=1)
        sizes = rows.abs() @ self._gram.diagonal().clamp_min(0.0).sqrt()
        slack = accumulated(16 * (self._gram.shape[0] + self.matrix.shape[1] + 32))
        length = (squares.clamp_min(0.0) + slack * sizes.square()).sqrt()
        return -ball.radius[of] * length * (1 + slack)

    def range_of(self, unit: Tensor, of: Tensor, ball: Ball) -> tuple[Tensor, Tensor]:
        """How far below and above its value at the image each operand may come."""
        least, most = torch.empty(2, len(of), dtype=torch.float64, device=of.device).unbind()
        few = self._few if ball.normal is None else None
        table = self.matrix if few is None else few
        if table is not None and ball.normal is None and ball.below is None:
            reach = lengths(table, ball.norm)[unit] * ball.radius[of]
            return -reach, reach
        width = self._pullback.rows if table is None else max(1, NUMBERS // (4 * table.shape[1]))
        for part in torch.arange(len(of), device=of.device).split(width):
            if table is None:
                seeds = torch.zeros(len(part), self._pullback.sizes[0], dtype=torch.float64)
                rows = self._pullback(0, seeds.scatter_(1, unit[part, None], 1.0), of[part], [])[0]
            else:
                rows = table[unit[part]]
            columns = None if few is None or self._columns is None else self._columns[unit[part]]
            least[part] = ball.least(rows, of[part], columns)
            most[part] = -ball.least(-rows, of[part], columns)
        return least, most


def _widest(record: Recorded) -> int:
    """The numbers of one image in the widest tensor."""
    tensors = [t for step in record.steps for t in tensors_in(step.returned)]
    return max(t.numel() // max(len(t), 1) for t in [record.inside, *tensors] if t.ndim)


def _range(kind: Clamped, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the greatest y: at an end, or at a corner in between."""
    corners = [lower, upper, torch.maximum(lower, kind.low).minimum(upper)]
    corners.append(torch.minimum(upper, kind.high).maximum(lower))
    values = torch.stack([kind.values(corner) for corner in corners])
    rounding = 4 * UNIT * values.abs().amax(dim=0)
    return values.amin(dim=0) - rounding, values.amax(dim=0) + rounding
