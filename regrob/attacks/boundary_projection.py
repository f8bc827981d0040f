"""The smallest ℓ2 perturbation by way of the local affine classifier: project, average, walk the ray.

Inside a polytope the boundary towards class j is the hyperplane w·u = b with w = v_j − v_y.
The nearest boundary point in the box is a projection with an exact solution. Where the
polytope ends the hyperplane is wrong, and stepping from projection to projection zigzags
between the hyperplanes that meet at a kink. So the projections are averaged: what is moved
is a direction from the image, and each step walks it to where the current affine map puts
the boundary. The average settles on one side of the kinks, and the boundary may be nearer on
another. So the sphere through the best point is searched too, by gradient steps that shrink
with time, which is the attack of Rony et al. (2019), "decoupling direction and norm". Alone it
settles too, in one of many local minima. Here its gradients are taken at points that noise has
moved, as in graduated optimisation: those at first see the network smoothed over more than the
distance to the mistake, and the noise fades as the steps shrink. So far out, the noise decides
which rival leads. If that is one whose boundary is farther, the search does not come back. So
where rivals had runs of their own, it stays with the nearest of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob.attacks._common import (
    AttackResult,
    Box,
    Goal,
    Network,
    clip,
    conclude,
    gap_and_coefficients,
    inside,
    over_pixels,
    prepare,
    rival_logits,
    saturates,
)
from regrob.checks import ImageLabels, Images, InputVector, PerExample, check_count
from regrob.ensembles.network_view import Pullback, ScaledPullback
from regrob.errors import InputError
from regrob.theory.margin import rival_distances
from regrob.theory.margin import rivals as other_classes

FIRST_RUN = 10
"""Steps that the first run takes before anything else is searched: no other part comes as near as soon."""

FIRST_SHARE, LAST_SHARE = 0.8, 0.1
"""What a new projection counts in the average, at the first step and at the last."""

FIRST_OVERSHOOT, LEAST_OVERSHOOT, MOST_OVERSHOOT = 1e-2, 1e-4, 0.1
"""How far beyond the expected boundary a step goes: less after a success, more after a failure."""

LEAST_STRETCH, MOST_STRETCH = 0.5, 3.0
"""How far one step may rescale the direction."""

HOPELESS = ((0.25, 1.5), (0.5, 1.25))
"""After these shares of its steps, a run towards one rival ends where it is so much farther than the best."""

INSIDE = 0.98
"""The first sphere that is searched, in units of the best distance."""

FIRST_RESIZING, LAST_RESIZING = 0.05, 0.005
"""By how much the sphere shrinks after a success, and grows after a failure."""

FIRST_TURN, LAST_TURN = 1.0, 0.003
"""The step on the sphere, in units of the best distance."""

NOISE = 2.0
"""How far the first noise moves the point whose gradient is taken, in units of the best distance."""

BISECTIONS = 8

HAIR, HAIRS = 1e-4, 10
"""A last lengthening of a success that another order of summation does not confirm."""


def boundary_projection(
    network: Network,
    images: Images,
    labels: ImageLabels,
    *,
    steps: int = 40,
    rivals: int = 9,
    seed: int = 0,
    box: Box = (0.0, 1.0),
    targets: ImageLabels | None = None,
) -> AttackResult:
    """The smallest ‖r‖₂ found by averaged projections onto local boundaries; for piecewise-linear networks.

    The first run follows whichever rival leads. One more run starts for each of the nearest
    rivals of the affine classifier at the image, and stays with it: the leading rival is often
    not the one whose boundary is nearest. Then the sphere through the best image is searched towards
    the rival of that image, one more run starts from the best image, and that image is shortened by
    bisection.
    On a network that is affine everywhere the first step is exact, overshoot aside.

    What it finds is an upper bound on the least distance. On 200 MNIST test digits, in the box, it was
    within 1 % of the best known (four attacks of adv-lib; our own at more steps; for some of the
    networks restarts too) on all, with LeNet-300-100 and LeNet-5, of two classes and of ten. The
    schedule was chosen on these digits. Without a box one of 60 was too far with LeNet-5, by 1.3 % with
    two classes and by 1.04 % with ten. Another `seed` may do better.

    Args:
        steps: the unit of the search's length; a step is one gradient. The first run takes half of them,
            or the first ten if that is more. Of the steps that it leaves, each rival's run takes 4/3 as
            many, a search on the sphere ten times as many, and the last run half as many. So a search of
            at most ten steps is the first run alone. The sphere is searched twice where no rival has a
            run of its own.
        rivals: how many nearest rivals get a run of their own (at most K − 1; 0 for none). Of two
            classes the first run follows the only one.
        seed: of the noise in the search on the sphere.
        targets: aim at these classes; then no rival has a run of its own.

    Raises:
        InputError: see `prepare`; fewer than one step; a negative number of rivals.

    >>> attacked = boundary_projection(nn.Identity(), torch.tensor([[0.6, 0.4]]), torch.tensor([0]))
    >>> round(float(attacked.distance), 3)  # √2/10
    0.141
    """
    check_count("steps", steps)
    if rivals < 0:
        raise InputError(f"rivals must be at least 0, got {rivals}")
    given = prepare(network, images, labels, targets=targets, box=box)
    x, goal, z = given.images, given.goal, given.z
    view = ScaledPullback(given.view, z)
    search = _Search(view, x, goal, given.box)
    first = max(math.ceil(steps / 2), min(steps, FIRST_RUN))
    search.run(first)
    if steps > first:
        classes = z.shape[-1]
        generator = torch.Generator().manual_seed(seed)
        runs = 0 if goal.targeted or classes == 2 else min(rivals, classes - 1)
        search.widen(steps - first, runs, generator)
    search.shorten()
    search.settle(given.network)
    return conclude(given, search.best, norm="l2", saturated=saturates(z, labels))


def project(x: InputVector, w: InputVector, b: PerExample, box: Box) -> InputVector:
    """The point of the box nearest to x, in ℓ2, on the hyperplane w·u = b.

    It is clip(x + t w) for the t with w·clip(x + t w) = b. From t = 0 that function of t is
    piecewise linear, rising and concave, so Newton's steps never overshoot and end after
    finitely many, in the exact t. Where the hyperplane misses the box, the answer is the
    point of the box that comes closest to it along this path.

    Args:
        x: (N, n), inside the box.
        w, b: (N, n) and (N,), the hyperplanes.
        box: the range of a coordinate, or None.

    >>> x, w = torch.tensor([[0.5, 0.5]]), torch.tensor([[2.0, 1.0]])
    >>> project(x, w, torch.tensor([2.75]), (0.0, 1.0))  # the first coordinate meets its wall
    tensor([[1.0000, 0.7500]])
    """
    low, high = (-math.inf, math.inf) if box is None else box
    side = torch.where((w * x).sum(dim=1) <= b, 1.0, -1.0).to(x)
    w, b = side[:, None] * w, side * b
    t = torch.zeros_like(b)
    rising, squares = w > 0, w.square()
    for _ in range(x.shape[1] + 1):
        moved = torch.addcmul(x, t[:, None], w)
        free = torch.where(rising, moved < high, moved > low)
        slope = (squares * free).sum(dim=1)
        missing = b - (w * clip(moved, low, high)).sum(dim=1)
        step = torch.where(slope > 0, missing / slope.clamp_min(torch.finfo(x.dtype).tiny), 0.0)
        going = step > 4 * torch.finfo(x.dtype).eps * t
        if not bool(going.any()):
            break
        t = torch.where(going, t + step, t)
    return clip(torch.addcmul(x, t[:, None], w), low, high)


def _nearest_rivals(view: Pullback, x: Tensor, labels: Tensor) -> Tensor:
    """The other classes by the distance of their boundary in the local affine map: (N, K − 1)."""
    V, z = view.local_map(x)
    others = other_classes(labels, z)
    order = rival_distances(V, z, labels).gather(1, others).argsort(dim=1, stable=True)
    return others.gather(1, order)


@dataclass
class _Search:
    """The best image so far of every example, and the runs that improve it."""

    view: Pullback
    x: Tensor  # (N, …)
    goal: Goal
    box: Box

    def __post_init__(self) -> None:
        self.flat_box = self.box  # for rows of pixels
        if self.box is not None and isinstance(self.box[0], Tensor):
            low, high = (torch.as_tensor(bound).flatten() for bound in self.box)
            self.flat_box = low, high
        self.best = self.x.clone()
        self.distance = torch.full_like(self.x.flatten(1)[:, 0], math.inf)  # (N,)

    def run(self, steps: int, towards: Tensor | None = None, *, resumed: bool = False) -> None:
        """One run from the images, or from the best points if `resumed`.

        Args:
            steps: how many.
            towards: (N,), the rivals to stay with; None follows whichever leads.
            resumed: start from the best points.
        """
        active = torch.arange(len(self.x), device=self.x.device)
        view, hopeful = self.view, torch.ones_like(active, dtype=torch.bool)
        origin = self.x.flatten(1)
        point = self.best.flatten(1) if resumed else origin
        average = point
        overshoot = torch.full_like(self.distance, FIRST_OVERSHOOT)
        limits = {int(share * steps): farther for share, farther in HOPELESS}
        for step in range(steps):
            w, gap, fooled = self._boundary(view, point, active, towards)
            self._keep(point, fooled & hopeful, active)
            if step > 0:
                overshoot = overshoot * torch.where(gap < 0, 0.6, 1.5).to(overshoot)
                overshoot = overshoot.clamp(LEAST_OVERSHOOT, MOST_OVERSHOOT)
            b = (w * point).sum(dim=1) + gap
            share = FIRST_SHARE * (LAST_SHARE / FIRST_SHARE) ** (step / max(steps - 1, 1))
            share = share if step or resumed else 1.0
            average = torch.lerp(average, project(origin, w, b, self.flat_box), share)
            point = _along(origin, average, w, b, overshoot, self.flat_box)
            limit = limits.get(step)
            if towards is not None and limit is not None:
                reach = torch.linalg.vector_norm(point - origin, dim=1)
                hopeful = hopeful & (reach < limit * self.distance[active])
                if not bool(hopeful.any()):
                    return
                packed = view.pack(hopeful)
                if packed is not None:
                    kept, view = packed
                    active, hopeful, overshoot = active[kept], hopeful[kept], overshoot[kept]
                    origin, average, point = origin[kept], average[kept], point[kept]
        never = active[self.distance[active].isinf()]
        self.best[never] = point[self.distance[active].isinf()].view(self.best[never].shape)

    def widen(self, steps: int, rivals: int, generator: torch.Generator) -> None:
        """Look elsewhere than the first run did: towards each rival, on the sphere, and from the best points.

        Args:
            steps: the unit of the search's length.
            rivals: how many nearest rivals get a run of their own.
            generator: of the noise on the sphere.
        """
        if rivals > 0:
            order = _nearest_rivals(self.view, self.x, self.goal.labels)
            for rank in range(rivals):
                self.run(math.ceil(4 * steps / 3), order[:, rank])
            self.turn(10 * steps, generator, self.leading_rivals())
        else:  # other noise is the other start where no rival gave one
            for _ in range(2):
                self.turn(10 * steps, generator)
        self.run(math.ceil(steps / 2), resumed=True)

    def leading_rivals(self) -> Tensor:
        """The class other than the label that leads at each best point: (N,)."""
        return rival_logits(self.view.logits(self.best), self.goal.labels).argmax(dim=1)

    def turn(self, steps: int, generator: torch.Generator, towards: Tensor | None = None) -> None:
        """Search the sphere through the best points: climb the gradient, return to the sphere, resize it.

        Where the goal is reached the sphere shrinks, elsewhere it grows. The first steps are as long
        as the sphere's radius, and leave the side of the kinks on which the runs before have settled.
        So is the first noise; it fades with the steps. All examples share it, so that the nearest
        point of one does not depend on the others in its batch.

        Args:
            steps: how many.
            generator: of the noise, on the CPU, so that every device meets the same.
            towards: (N,), the rivals to stay with; None follows whichever leads.
        """
        origin = self.x.flatten(1)
        every = torch.arange(len(origin), device=origin.device)
        tried = torch.linalg.vector_norm(self.best.flatten(1) - origin, dim=1)
        scale = torch.where(self.distance.isfinite(), self.distance, tried)
        radius, point = INSIDE * scale, origin
        for step in range(steps):
            left = 0.5 * (1 + math.cos(math.pi * step / steps))  # falls from one to zero
            noise = torch.randn(origin.shape[1], generator=generator, dtype=torch.float64, device="cpu")
            noise = (NOISE * left * noise / noise.norm()).to(origin)
            shaken = inside(point + scale[:, None] * noise, self.flat_box)
            w, _, fooled = self._boundary(self.view, shaken, every, towards)
            self._keep(shaken, fooled, every)
            if step > 0:
                resizing = LAST_RESIZING + (FIRST_RESIZING - LAST_RESIZING) * left
                radius = radius * torch.where(fooled, 1 - resizing, 1 + resizing).to(radius)
            turn = LAST_TURN + (FIRST_TURN - LAST_TURN) * left
            moved = point - origin + (turn * scale)[:, None] * functional.normalize(w, dim=1)
            point = inside(origin + radius[:, None] * functional.normalize(moved, dim=1), self.flat_box)

    def _keep(self, point: Tensor, fooled: Tensor, active: Tensor) -> None:
        """Take over the points (A, n) of active examples that reach the goal and are nearer than the best."""
        reach = torch.linalg.vector_norm(point - self.x.flatten(1)[active], dim=1)
        better = fooled & (reach < self.distance[active])
        improved = active[better]
        self.distance[improved] = reach[better]
        self.best[improved] = point[better].view(self.best[improved].shape)

    def _boundary(
        self, view: Pullback, point: Tensor, active: Tensor, towards: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """w (A, n) and the gap that w must close (A,), negative beyond; whether the goal is reached (A,)."""
        goal = self.goal.among(active)
        wanted = None if towards is None else towards[active]

        def downhill(z: Tensor) -> Tensor:
            if wanted is None:
                return -gap_and_coefficients(z, goal, 0.0)[1]
            classes = z.shape[-1]
            return (functional.one_hot(wanted, classes) - functional.one_hot(goal.classes, classes)).to(z)

        w, z = view.gradient(point.view(len(active), *self.x.shape[1:]), downhill)
        return w.flatten(1), -(downhill(z) * z).sum(dim=1), goal.reached(z)

    def shorten(self) -> None:
        """Move every success towards its image as far as bisection says it may."""
        low, high = torch.full_like(self.distance, 0.9), torch.ones_like(self.distance)
        longest = self.best
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            tried = torch.lerp(self.x, longest, over_pixels(middle, self.x))
            fooled = self.goal.reached(self.view.logits(tried))
            better = fooled & self.distance.isfinite()
            self.best = torch.where(over_pixels(better, self.x), tried, self.best)
            low, high = torch.where(fooled, low, middle), torch.where(fooled, middle, high)

    def settle(self, network: nn.Module) -> None:
        """Lengthen by hairs what rounding brings back: another batch may round another way."""
        for _ in range(HAIRS):
            with torch.no_grad():
                lost = ~self.goal.reached(network(self.best)) & self.distance.isfinite()
            if not bool(lost.any()):
                return
            longer = inside(torch.lerp(self.x, self.best, 1 + HAIR), self.box)
            self.best = torch.where(over_pixels(lost, self.x), longer, self.best)


def _along(origin: Tensor, average: Tensor, w: Tensor, b: Tensor, overshoot: Tensor, box: Box) -> Tensor:
    """Walk from the origin through the average to the hyperplane, and a little beyond: (A, n)."""
    direction = average - origin
    needed, gained = b - (w * origin).sum(dim=1), (w * direction).sum(dim=1)
    # Where the direction hardly leads to this hyperplane, the average itself is the next point.
    stretch = torch.where(gained.abs() > 0.3 * needed.abs(), needed / gained, 1.0).clamp(
        LEAST_STRETCH, MOST_STRETCH
    )
    point = origin + ((1 + overshoot) * stretch)[:, None] * direction
    return inside(point, box)
