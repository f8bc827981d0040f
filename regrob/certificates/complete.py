"""The distance to the nearest mistake by branch and bound: an interval that closes, and is right at any time.

The search keeps a tree of *nodes*, each one rival class and the signs of some units. Together the open nodes
hold every mistake there is. A node knows a radius below which it holds none; the least of these radii is
*certified*, and the nearest mistake known is *found*. The node that certifies least comes first: it is
bounded anew in a larger ball, or, where that fails, split at the unit whose relaxation loses most there.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regrob.affine import ReluLayers
from regrob.certificates.balls import nearest
from regrob.certificates.dense_network import Bounds, Caps, Margins, Relaxation, surroundings
from regrob.certificates.dual_nodes import NodeDual, node_dual
from regrob.certificates.leaf import Leaf, leaf
from regrob.certificates.rounded import rounding
from regrob.checks import check_box, check_tolerance
from regrob.errors import InputError

NORMS = (2.0, math.inf)
"""Of the distances that a search is for."""

STRETCHES = (0.0, 1e-12, 1e-9, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
"""By how much a candidate is lengthened, in turn, until it is a mistake."""

ROUNDS, STEPS = 8, 16
"""How often at most a node is bounded anew in its thinner cap, and steps of ascent in α and β each time."""

WORTH_SPLITTING = 1.15
"""A node that failed in a ball this much larger than what it certifies is first tried in a smaller one."""

GROWTH = 1.15
"""By how much the ball of a node grows that was certified to the last one."""

ROWS = 800
"""About so many units are bounded at once."""

DUAL_SECONDS, MOST_UNITS = 4.0, 600
"""What the semidefinite dual of 400 open units needs at least, and up to how many it is tried at all."""

MANY, FIRST = 300, 0.8
"""With so many open units the dual is first tried in a ball smaller by this factor than all that is to be
certified: there it is tight sooner."""

WALK = 2
"""Steps along the network's own affine maps, from where a relaxation has its nearest mistake."""

FURTHER = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Instead, for the nearest mistake with given signs, which another precision may not know for one."""

INSETS = (1e-9, 1e-6, 1e-4)
"""In units of its distance: how far inside its half-spaces a mistake is looked for that is on their edge."""

CONVERGED = 0.02
"""A bound is computed anew in its thinner cap as long as that closes so much of what is missing."""


@dataclass
class Node:
    """Part of the input space: a rival class and the signs of some units.

    Attributes:
        rival: the class j of the mistakes z_j ≥ z_y looked for.
        signs: (units,) int8: 1 on, −1 off, 0 not given.
        certified: no such mistake is nearer.
        reached: radius of the ball of the last try; the node is certified to it, or the try failed.
        dual: what the semidefinite dual said of that try; or of a node that this one is part of.
        exact: no mistake in the node is nearer than `certified`, and one is as near.
        bounds: one row, on the units in that ball; None before the first try.
        margins: one row, of that try.
    """

    rival: int
    signs: Tensor
    certified: float = 0.0
    reached: float = math.inf
    bounds: Bounds | None = None
    margins: Margins | None = None
    dual: NodeDual | None = None
    exact: bool = False

    @property
    def failed(self) -> bool:
        """Whether the last try did not certify its ball."""
        return self.margins is not None and not self.exact and self.certified < self.reached


class Search:
    """Branch and bound around one image; `advance` goes on with it.

    Attributes:
        found: distance of the nearest mistake known, rounded up; infinite if none is.
        mistake: that image, (n,); None if none is known.
        nodes: how many were bounded.
        unstable: units that may switch in the last ball around the image that was tried without a sign given.
        split: the layer and the unit at which a node was split last; None before.

    >>> layers = ReluLayers((torch.eye(2).double(),) * 2, (torch.zeros(2).double(),) * 2)
    >>> search = Search(layers, torch.tensor([0.75, 0.25]).double(), 0)
    >>> search.advance(nodes=100)
    'closed'
    >>> round(search.certified, 3), round(search.found, 3)  # √2/4
    (0.354, 0.354)
    """

    def __init__(
        self,
        layers: ReluLayers,
        x: Tensor,
        label: int,
        *,
        norm: float = 2.0,
        box: tuple[float, float] | None = (0.0, 1.0),
        tolerance: float = 0.01,
        starts: Tensor | None = None,
        confirm: Callable[[Tensor], Tensor] | None = None,
        dtype: torch.dtype = torch.float64,
        batch: int = 64,
        dual: bool = True,
    ) -> None:
        """Begin a search.

        Args:
            layers: the network.
            x: the image, (n,), in the box.
            label: its class y.
            norm: of the distance, 2 or infinity.
            box: least and largest value of a pixel; None for none.
            tolerance: the interval is closed when certified ≥ (1 − tolerance) found.
            starts: images (M, n) that may be mistakes, put into the box first.
            confirm: tells of images (M, n) in `dtype`, which are mistakes of `layers`, whether they are
                mistakes of the network that the search is about, too.
            dtype: of the images that are found.
            dual: use the semidefinite dual too (ℓ2), where there is time for it.
            batch: nodes that are bounded together at most; fewer where many units are open.

        Raises:
            InputError: another norm; an image outside the box; a tolerance outside [0, 1).
        """
        if norm not in NORMS:
            raise InputError(f"the search is for norm 2 or infinity, got {norm!r}")
        check_tolerance(tolerance)
        check_box(box, x[None].double())
        self.around = surroundings(layers, x, label, box, norm)
        self.box, self.tolerance, self.dtype, self.batch = box, tolerance, dtype, batch
        self.dual = dual and norm == 2.0
        self.relaxation = Relaxation(self.around)
        self.confirm = confirm
        self.found = math.inf
        self.mistake: Tensor | None = None
        self.nodes, self.unstable = 0, 0
        self.split: tuple[int, int] | None = None
        self._count = 0
        self._open: list[tuple[float, int, Node]] = []
        self._busy: list[Node] = []
        self._deadline = math.inf
        self._clock = time.perf_counter
        self._farthest = self.around.farthest()
        units = sum(self.around.widths)
        for rival in range(len(layers.biases[-1])):
            if rival != label:
                self._push(Node(rival, torch.zeros(units, dtype=torch.int8)))
        self.offer(self.around.x[None])
        if starts is not None:
            self.offer(starts)

    @property
    def certified(self) -> float:
        """No mistake is nearer than this; at most `found`."""
        open_nodes = self._open[0][0] if self._open else math.inf
        return min([open_nodes, self.found, *(node.certified for node in self._busy)])

    @property
    def closed(self) -> bool:
        """Whether certified ≥ (1 − tolerance) found."""
        return self.certified >= self._target()

    def _target(self) -> float:
        return (1.0 - self.tolerance) * self.found

    def _push(self, node: Node) -> None:
        self._count += 1  # of two nodes that certify as much, the older comes first
        heapq.heappush(self._open, (node.certified, self._count, node))

    def offer(self, points: Tensor, stretches: tuple[float, ...] = STRETCHES) -> None:
        """Try images (M, n) as mistakes, lengthened by these shares."""
        points = points.detach().flatten(1).double()
        size = torch.linalg.vector_norm(points - self.around.x, ord=self.around.norm, dim=1)
        points = points[size < self.found * (1.0 + STRETCHES[-1])]  # NaN and infinity are left out as well
        nearer = nearest_confirmed(
            self.around.x, points, self._mistaken,
            norm=self.around.norm, box=self.box, dtype=self.dtype, stretches=stretches,
        )  # fmt: skip
        if nearer is not None and nearer[0] < self.found:
            self.found, self.mistake = nearer

    def admit(self, radius: float) -> None:
        """Take over from another proof that no mistake is nearer than this."""
        radius = math.inf if radius >= self._farthest else radius
        for _, _, node in self._open:
            node.certified = max(node.certified, radius)
        self._open = [(node.certified, count, node) for _, count, node in self._open]
        heapq.heapify(self._open)

    def _mistaken(self, points: Tensor) -> Tensor:
        """Which images (M, n) are mistakes of the layers, and confirmed."""
        z = self.around.layers.logits(points.double())
        rivals = z.clone()
        rivals[:, self.around.label] = -math.inf
        wrong = rivals.amax(dim=1) >= z[:, self.around.label]
        if self.confirm is not None and bool(wrong.any()):
            wrong[wrong.clone()] = self.confirm(points[wrong])
        return wrong

    def advance(
        self,
        seconds: float = math.inf,
        nodes: float = math.inf,
        watch: Callable[[Search], object] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> str:
        """Go on until the interval is closed, or so many seconds or nodes later; say which.

        May be interrupted at any time (KeyboardInterrupt, say): the interval stays right, and the search can
        go on.

        Args:
            watch: is shown the search after each round.
            clock: tells the seconds.

        Returns:
            "closed", "time" or "nodes"; "exhausted" where no image of this `dtype` is confirmed to be a
            mistake though the layers have one.
        """
        self._clock = clock
        self._deadline, limit = clock() + seconds, self.nodes + nodes
        for node in self._busy:  # an interruption left them
            self._push(node)
        self._busy = []
        while not self.closed:
            if clock() >= self._deadline:
                return "time"
            if self.nodes >= limit:
                return "nodes"
            if self._open[0][2].exact:
                return "exhausted"
            self._round()
            if watch is not None:
                watch(self)
        return "closed"

    def _round(self) -> None:
        """Take the nodes that certify least, and put others in their place."""
        target, rows = self._target(), 0
        while self._open and len(self._busy) < self.batch and rows < ROWS and self._open[0][0] < target:
            node = self._open[0][2]
            self._busy.append(node)
            heapq.heappop(self._open)
            rows += len(node.signs) if node.bounds is None else int(node.bounds.unstable(1))
        for node in self._after(self._busy):
            self._push(node)
        self._busy = []

    def _after(self, nodes: list[Node]) -> list[Node]:
        """The nodes after one more try each: bounded in a new ball, or its two parts."""
        anew: list[Node] = []
        within: list[Node] = []
        leaves: list[Node] = []
        for node in nodes:
            if not node.failed:
                anew.append(replace(node, reached=self._ambition(node), bounds=None, margins=None, dual=None))
                continue
            unit = self._loosest(node)
            if unit is None:
                leaves.append(self._leaf(node))
            elif node.reached > WORTH_SPLITTING * node.certified:
                smaller = 0.5 * (node.certified + node.reached)
                assert node.bounds is not None
                if self.dual and self._too_large(node, int(node.bounds.unstable(1))):
                    smaller = max(smaller, FIRST * node.reached)
                within.append(replace(node, reached=smaller))
            else:
                within += [self._part(node, unit, sign) for sign in (1, -1)]
                self.split = self._place(unit)
        for group in (anew, within):
            if group:
                self._bound(group)
        return anew + within + leaves

    def _ambition(self, node: Node) -> float:
        """The radius of the next ball of a node that is certified to the last one."""
        goal = min(self._target(), self._farthest)
        if node.margins is None:
            return goal if goal < math.inf else 1.0
        return min(goal, GROWTH * node.certified)

    def _loosest(self, node: Node) -> int | None:
        """The open unit whose relaxation loses most; None if no unit is open."""
        assert node.bounds is not None and node.margins is not None
        if not node.bounds.lower:
            return None
        lower, upper = (torch.cat(parts, dim=1)[0] for parts in node.bounds)
        unknown = (lower < 0) & (upper > 0)
        if not bool(unknown.any()):
            return None
        loss = torch.cat(node.margins.gaps, dim=1)[0]
        if node.dual is not None:
            loss = torch.tensor([node.dual.violation.get(self._place(i), -1.0) for i in range(len(loss))])
        score = torch.where(unknown, loss, -1.0)
        if float(score.max()) <= 0.0:
            score = torch.where(unknown, -lower * upper, -1.0)
        return int(score.argmax())

    def _part(self, node: Node, unit: int, sign: int) -> Node:
        signs = node.signs.clone()
        signs[unit] = sign
        return replace(node, signs=signs)

    def _leaf(self, node: Node) -> Node:
        """A node without open units, after its programme is solved."""
        assert node.bounds is not None
        self.nodes += 1
        on = torch.cat([lower[0] >= 0 for lower in node.bounds.lower] or [node.signs > 0])
        known = self._solve(node.rival, on, node.reached)
        certified = max(node.certified, min(known.distance, node.reached))
        return replace(node, certified=certified, exact=certified < node.reached)

    def _polish(self, step: Tensor, rival: int) -> None:
        """Offer the nearest mistake that has the same signs of all units as a point has."""
        heights = self.around.layers.preactivations(self.around.x + step)
        on = torch.cat([height > 0 for height in heights[:-1]] or [step[:0] > 0])
        self._solve(rival, on, self._farthest)

    def _solve(self, rival: int, on: Tensor, radius: float) -> Leaf:
        """The nearest mistake with these signs, which is offered; slightly farther inside if need be."""
        known = leaf(self.relaxation, rival, on, radius)
        self.offer((self.around.x + known.step)[None])
        for inset in INSETS:
            if not known.distance * (1.0 + inset) < self.found * (1.0 - inset) or known.distance > radius:
                break
            inside = leaf(self.relaxation, rival, on, radius, inset * known.distance)
            self.offer((self.around.x + inside.step)[None])
        if known.distance <= radius and known.distance < (1.0 - self.tolerance) * self.found:
            self.offer((self.around.x + known.step)[None], FURTHER)
        return known

    def _place(self, unit: int) -> tuple[int, int]:
        """Layer and place in it of a unit."""
        for layer, width in enumerate(self.around.widths):
            if unit < width:
                return layer, unit
            unit -= width
        raise IndexError(unit)

    def _bound(self, group: list[Node]) -> None:
        """Try to certify each node's ball, in place; bounds and half-spaces that they hold are used."""
        rivals = torch.tensor([node.rival for node in group])
        radius = torch.tensor([node.reached for node in group], dtype=torch.float64)
        signs = torch.stack([node.signs for node in group])
        bounds, caps, slopes, multipliers = None, None, None, None
        distance = torch.tensor([node.certified for node in group], dtype=torch.float64)
        if group[0].bounds is not None:
            held = [node.bounds for node in group if node.bounds is not None]
            kept = [node.margins for node in group if node.margins is not None]
            bounds = Bounds(*(_stacked([rows[i] for rows in held]) for i in (0, 1)))
            caps = Caps(*(torch.cat([margins.cap[i] for margins in kept]) for i in (0, 1)))
            slopes = _stacked([margins.slopes for margins in kept])
            multipliers = _stacked([margins.multipliers for margins in kept])
        for _ in range(ROUNDS):
            bounds = self.relaxation.bounds(radius, signs, bounds, caps)
            margins = self.relaxation.margins(
                rivals, radius, bounds, signs, slopes=slopes, multipliers=multipliers, steps=STEPS
            )
            self._walk(margins.step, rivals)
            missing = radius - distance
            empty = bounds.empty(len(group))
            reached = torch.where(empty, math.inf, margins.distance.nan_to_num(0.0, math.inf))
            gain = reached - distance
            distance = torch.maximum(distance, reached)
            caps, slopes, multipliers = margins.cap, margins.slopes, margins.multipliers
            promising = (distance < radius) & (gain > CONVERGED * missing)
            if not bool(promising.any()) or self._clock() > self._deadline:
                break
        assert bounds is not None
        if self.dual:
            for i, node in enumerate(group):
                if distance[i] < radius[i]:
                    row = Bounds(*([part[i : i + 1] for part in parts] for parts in bounds))
                    now = self._clock()
                    until = now + (self._deadline - now) / (len(group) - i)
                    self._dualise(node, row, Caps(margins.cap.g[i : i + 1], margins.cap.h[i : i + 1]), until)
                    if node.dual is not None:
                        distance[i] = max(float(distance[i]), node.dual.distance)
        self.nodes += len(group)
        nearest_one = int(distance.argmin())
        self._polish(margins.step[nearest_one], group[nearest_one].rival)
        for i, node in enumerate(group):
            reached_now = min(float(distance[i]), node.reached)
            if reached_now >= self._farthest:
                reached_now = math.inf
            node.certified = max(node.certified, reached_now)
            node.bounds = Bounds(*([part[i : i + 1] for part in parts] for parts in bounds))
            node.margins = _row(margins, i)
            if not bool(node.signs.any()):
                self.unstable = int(node.bounds.unstable(1))

    def _too_large(self, node: Node, units: int) -> bool:
        """Whether a ball with so many open units is too large for the node's first dual."""
        return units > MANY and node.certified < FIRST * node.reached and node.reached >= self._target()

    def _dualise(self, node: Node, bounds: Bounds, cap: Caps, until: float) -> None:
        """Try the semidefinite dual on a node, if there is time for it; until a certain time."""
        units = int(bounds.unstable(1))
        cost = DUAL_SECONDS * (units / 400) ** 3
        in_time = self._clock() + cost <= self._deadline
        if not 0 < units <= MOST_UNITS or not in_time or self._too_large(node, units):
            node.dual = None
            return
        given = {self._place(i): bool(node.signs[i] > 0) for i in node.signs.nonzero()[:, 0].tolist()}
        try:
            node.dual = node_dual(
                self.around, self.box, node.rival, node.reached, bounds, given, cap,
                node.reached if given or units <= MANY else None, node.dual, lambda: self._clock() > until,
            )  # fmt: skip
        except InputError:  # numbers beyond what the dual can work with
            node.dual = None
            return
        self._walk(node.dual.step[None], torch.tensor([node.rival]))

    def _walk(self, steps: Tensor, rivals: Tensor) -> None:
        """Look for mistakes at the nearest points of half-spaces, and where the network's map there leads."""
        around, relaxation = self.around, self.relaxation
        for _ in range(WALK):
            heights = around.layers.preactivations(around.x + steps)
            rows = relaxation.rows[rivals]
            margin = heights[-1][:, around.label] - heights[-1].gather(1, rivals[:, None])[:, 0]
            for k in range(relaxation.depth - 1, -1, -1):
                rows = (rows * (heights[k] > 0)) @ relaxation.weights[k]
            steps = nearest(
                rows, margin - (rows * steps).sum(dim=1), around.low, around.high, around.norm
            ).step
            self.offer(around.x + steps)


def nearest_confirmed(
    x: Tensor,
    points: Tensor,
    mistaken: Callable[[Tensor], Tensor],
    *,
    norm: float,
    box: tuple[float, float] | None,
    dtype: torch.dtype,
    stretches: tuple[float, ...] = STRETCHES,
) -> tuple[float, Tensor] | None:
    """Of images that are mistakes, in their final precision and in the box, the nearest; and how far it is.

    Args:
        x: the image, (n,).
        points: (M, n). Those that are not mistakes are moved away from x, a little at a time.
        mistaken: which images (M, n) of this dtype are mistakes: (M,) bool.
        stretches: by which shares of its perturbation a point is lengthened, in turn.

    >>> right = torch.zeros(2).double()
    >>> nearest_confirmed(
    ...     right, torch.eye(2).double(), lambda p: p[:, 0] > 0, norm=2.0, box=None, dtype=torch.float32
    ... )
    (1.0000000000000044, tensor([1., 0.]))
    """
    for stretch in stretches:
        if not len(points):
            return None
        tried = (x + (points - x) * (1.0 + stretch)).to(dtype)
        if box is not None:
            tried = tried.clamp(*box)
        wrong = mistaken(tried)
        if bool(wrong.any()):
            size = torch.linalg.vector_norm(tried.double() - x, ord=norm, dim=1) * (1.0 + rounding(len(x)))
            best = int(torch.where(wrong, size, math.inf).argmin())
            return float(size[best]), tried[best]
    return None


def _stacked(rows: list[list[Tensor]]) -> list[Tensor]:
    """One row a node, layer by layer → one batch a layer."""
    return [torch.cat(layer) for layer in zip(*rows, strict=True)]


def _row(margins: Margins, i: int) -> Margins:
    """Of one node alone."""

    def pick(parts: list[Tensor]) -> list[Tensor]:
        return [part[i : i + 1] for part in parts]

    distance, cap, step, slopes, multipliers, gaps = margins
    its_cap = Caps(cap.g[i : i + 1], cap.h[i : i + 1])
    return Margins(distance[i : i + 1], its_cap, step[i : i + 1], pick(slopes), pick(multipliers), pick(gaps))
