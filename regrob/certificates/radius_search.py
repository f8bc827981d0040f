"""The largest radius that linear bounds certify.

On a ball of radius R every mistake lies in the half-space in which the linear lower bound of a margin is not
positive. No mistake is nearer than that half-space, so min(R, its distance d(R)) is certified; the best R is
where the two meet, and d falls as R grows.

The half-space helps twice. The bounds of the bends need to hold in it alone: what is left of the ball is a
cap, thin where R is only slightly above d(R), and in the cap they are tighter, so that the next half-space is
farther away, and the next cap thinner. And the slopes of the lines through the corners are free: they are
chosen to move the half-space away, by gradient ascent.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from regrob.affine.rectified import Clamped, Lines
from regrob.certificates.balls import Ball, ball_around
from regrob.certificates.linear_bounds import LinearAnalysis, OutOfTimeError, Relaxed
from regrob.certificates.rounded import rounding
from regrob.checks import ImageLabels, Images, PerImage, check_count, check_images, check_labels

FIRST_GUESS = 0.4
"""Of the radius, as a share of the distance that the network would have if no unit switched."""

FIRST_STEP = 1.25
"""With caps the first ball is so much larger than the one that is certified without."""

CAPPED_TRIALS = 4
"""Of balls with caps, at most: each costs as much as a few without."""

ASCENT_STEPS, ASCENT_RATE = 8, 0.25
"""Of the gradient ascent in the slopes' shares."""


def linear_radius(
    network: nn.Module,
    images: Images,
    labels: ImageLabels,
    *,
    norm: float = 2.0,
    box: tuple[float, float] | None = (0.0, 1.0),
    rounds: int = 0,
    trials: int = 8,
    tolerance: float = 1e-3,
    check: bool = True,
    going: Callable[[], bool] | None = None,
) -> PerImage:
    """A radius within which no perturbation fools the network, by linear bounds: (N,), float64, rounded down.

    Zero where the image is misclassified; infinite where it reaches the farthest corner of the box.

    Args:
        network, norm, box, check: as of `linear_bounds`.
        rounds: how often, on each ball, the bends' bounds are tightened on the cap and the slopes are chosen.
            0 is the plain bound. More rounds never certify less.
        trials: balls that are tried, with rounds and without, at most.
        tolerance: relative, of the plain radius.
        going: asked before each pass; once it says no, what is certified by then is returned.

    Raises:
        InputError, NotPiecewiseLinearError, UnsuitableNetworkError: as `linear_bounds`.

    >>> network = nn.Sequential(nn.Flatten(), nn.ReLU())
    >>> linear_radius(network, torch.tensor([[0.75, 0.25]]), torch.tensor([0]))  # 0.5/√2
    tensor([0.3536], dtype=torch.float64)
    """
    check_count("trials", trials)
    if rounds:
        check_count("rounds", rounds)
    check_images(images)
    certified = torch.zeros(len(images), dtype=torch.float64, device=images.device)
    try:
        analysis = LinearAnalysis(network, images, check=check, going=going)
        z = analysis.logits
        check_labels(labels, z)
        right = (z.argmax(dim=1) == labels).nonzero()[:, 0]
        if not len(right):
            return certified
        others = torch.arange(z.shape[1] - 1, device=z.device).expand(len(right), -1)
        rivals = (others + (others >= labels[right, None])).flatten()
        at = right.repeat_interleave(z.shape[1] - 1)
        around = ball_around(analysis.images[at], 0.0, norm=norm, box=box)
        search = _Search(analysis, around, labels[at], rivals, at, tolerance)
        certified[right] = search.plain(trials)
        if rounds:
            distance = search.capped(certified[at], rounds, trials)
            certified[right] = distance.view(len(right), -1).amin(dim=1)
    except OutOfTimeError:
        pass
    farthest = ball_around(images, 0.0, norm=norm, box=box).farthest()
    return certified.where(certified < farthest * (1 + rounding(images[0].numel())), math.inf)


class _Search:
    """For pairs of an image and a rival: how near the half-space of the rival's mistakes comes, ball by ball.

    Attributes:
        around: balls around the P images, without a radius.
        labels, rivals: (P,).
        at: (P,), which of the analysis' images each is; the pairs of one image follow each other, and of all
            images there are as many.
        rivals_each: how many.
    """

    def __init__(
        self,
        analysis: LinearAnalysis,
        around: Ball,
        labels: Tensor,
        rivals: Tensor,
        at: Tensor,
        tolerance: float,
    ) -> None:
        self.analysis, self.around, self.labels, self.rivals, self.at = analysis, around, labels, rivals, at
        self.tolerance = tolerance
        self.rivals_each = len(at) // len(at.unique())

    def plain(self, trials: int) -> Tensor:
        """What is certified of each image, without caps: all its rivals share a ball, and so its bounds."""
        first = torch.arange(0, len(self.at), self.rivals_each, device=self.at.device)
        zero = torch.zeros(len(first), dtype=torch.float64, device=self.at.device)
        tangent = self._plain_distance(torch.arange(len(first), device=self.at.device), zero)
        radius = FIRST_GUESS * tangent.minimum(self.around.of(first).farthest())
        return self._meeting(self._plain_distance, zero, radius, zero, tangent, trials)

    def capped(self, certified: Tensor, rounds: int, trials: int) -> Tensor:
        """What is certified of each pair, (P,), with caps; never less than already."""

        def distance(of: Tensor, radius: Tensor) -> Tensor:
            return self._capped_distance(of, radius, rounds)

        radius = FIRST_STEP * certified
        return self._meeting(distance, certified, radius, certified, certified, min(trials, CAPPED_TRIALS))

    def _meeting(
        self,
        distance: Callable[[Tensor, Tensor], Tensor],
        certified: Tensor,
        radius: Tensor,
        last_radius: Tensor,
        last_distance: Tensor,
        trials: int,
    ) -> Tensor:
        """The largest min(R, d(R)) found where d(R) − R changes its sign, by secants within a bracket."""
        low, high = certified.clone(), torch.full_like(certified, math.inf)
        active = ((radius > 0) & (radius < math.inf)).nonzero()[:, 0]
        last_radius, last_lead = last_radius.clone(), last_distance - last_radius
        for _ in range(trials):
            if not len(active):
                break
            tried = radius[active]
            try:
                certifiable = distance(active, tried)
            except OutOfTimeError:
                break
            certified[active] = certified[active].maximum(certifiable.minimum(tried))
            lead = certifiable - tried
            low[active] = low[active].maximum(certifiable.minimum(tried))
            high[active] = high[active].minimum(torch.where(lead >= 0, certifiable, tried))
            fall = (last_lead[active] - lead) / (tried - last_radius[active])
            width = high[active] - low[active]
            guess = torch.where(fall > 0, tried + lead / fall, (low[active] + high[active]) / 2)
            guess = torch.where(certifiable > 0, guess, (low[active] + high[active]) / 2)  # 0 has no slope
            guess = guess.nan_to_num(0.0, math.inf, 0.0).maximum(low[active] + 0.05 * width)
            radius[active] = guess.minimum(torch.where(high[active] < math.inf, high[active], 2 * tried))
            last_radius[active], last_lead[active] = tried, lead
            active = active[(width > self.tolerance * low[active]) & (radius[active] < math.inf)]
        return certified

    def _plain_distance(self, images: Tensor, radius: Tensor) -> Tensor:
        """d(R) of these images, in their order here: that of the rival whose half-space comes nearest."""
        first = images * self.rivals_each
        ball = self.around.of(first)._replace(radius=radius)
        relaxed = self.analysis.relaxed(ball, self.at[first])
        of = (first[:, None] + torch.arange(self.rivals_each, device=first.device)).flatten()
        place = torch.arange(len(images), device=first.device).repeat_interleave(self.rivals_each)
        distance = self._nearest(of, ball.of(place), relaxed.of(place))[0]
        return distance.view(len(images), self.rivals_each).amin(dim=1)

    def _nearest(
        self, of: Tensor, ball: Ball, relaxed: Relaxed, lines: list[Lines] | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Distance, nearest point, normal and offset of the half-spaces in which the pairs' mistakes lie."""
        bounds = self.analysis.margins(ball, self.labels[of], self.rivals[of, None], relaxed, lines)
        slopes, offsets = bounds.slopes[:, 0], bounds.offsets[:, 0]
        distance, step = ball.nearest(slopes.detach(), offsets.detach().nan_to_num(-math.inf))
        return distance, step, slopes, offsets

    def _capped_distance(self, of: Tensor, radius: Tensor, rounds: int) -> Tensor:
        """d(R) of these pairs after so many rounds of caps and ascents."""
        ball = self.around.of(of)._replace(radius=radius)
        best = torch.zeros_like(radius)
        relaxed: Relaxed | None = None
        for _ in range(rounds):
            relaxed = self.analysis.relaxed(ball, self.at[of], relaxed)
            distance, normal, offset = self._ascent(of, ball, relaxed)
            distance = torch.where(relaxed.empty(), math.inf, distance)
            if ball.normal is not None and ball.offset is not None:
                better = distance > best
                normal = torch.where(better[:, None], normal, ball.normal)
                offset = torch.where(better, offset, ball.offset)
            best = best.maximum(distance)
            if bool((best >= radius).all()):
                break
            ball = ball._replace(normal=normal, offset=offset)
        return best

    def _ascent(self, of: Tensor, ball: Ball, relaxed: Relaxed) -> tuple[Tensor, Tensor, Tensor]:
        """The farthest half-space met while the corners' slopes are chosen: distance, normal, offset."""
        shares: list[Tensor | None] = [
            (bound.upper - kind.low >= kind.low - bound.lower).to(bound.lower).requires_grad_(True)
            if isinstance(kind, Clamped)
            else None
            for kind, bound in zip(relaxed.kinds, relaxed.bounds, strict=True)
        ]
        free = [share for share in shares if share is not None]
        best, _, normal, offset = self._nearest(of, ball, relaxed)
        if not free:
            return best, normal, offset
        optimizer = torch.optim.Adam(free, lr=ASCENT_RATE, betas=(0.8, 0.95))
        for _ in range(ASCENT_STEPS):
            with torch.enable_grad():
                lines = relaxed.with_shares(shares)
                distance, step, slopes, offsets = self._nearest(of, ball, relaxed, lines)
                size = torch.linalg.vector_norm(slopes.detach(), dim=1).clamp_min(1e-300)
                height = ((slopes * step).sum(dim=1) + offsets) / size
                optimizer.zero_grad()
                (-height.nan_to_num(0.0).sum()).backward(inputs=free)
            better = distance > best
            best = best.maximum(distance)
            normal = torch.where(better[:, None], slopes.detach(), normal)
            offset = torch.where(better, offsets.detach(), offset)
            optimizer.step()
            with torch.no_grad():
                for share in free:
                    share.grad = None if share.grad is None else share.grad.nan_to_num(0.0)
                    share.clamp_(0.0, 1.0)
        return best, normal, offset
