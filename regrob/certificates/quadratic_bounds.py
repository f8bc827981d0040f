"""A paraboloid below the margin: how near a mistake can be where nearly every unit may switch.

Linear bounds let each unit use the whole ball. In a convolutional network nearly all units may then switch,
though one perturbation can push only few of them far: what holds of all units together is a bound on the
sum of their squares. So the margin m is bounded from below by

    m(x + δ) ≥ α + v · η_k − λ ‖η_k‖²,

where η_k is how far the outputs of layer k have moved, first behind the last layer, where α is the margin at
x and λ = 0, then layer by layer towards the pixels, where η_0 = δ. It holds for every δ.

**A layer.** Let an output be h = max_i a_i, with the entry r the largest at x, t_i how far entry i has moved,
and g_i ≥ 0 how far it is below entry r at x. Then η = t_i − g_i for the entry that is largest now. Moreover
t_r ≤ η, and η lies between the least and the greatest of the t_i, so that η² ≤ Σ t_i². For v ≥ 0 therefore

    v η − λ η² ≥ v t_r − λ Σ_i t_i².

For v < 0 the jump η − t_r costs |v|; but as long as |v| ≤ 2 λ g_i the sum of squares pays for it: since
t_i ≥ t_r + g_i where i has become the largest,

    λ (t_r² + t_i²) − λ (t_i − g_i)² − |v| (t_i − g_i − t_r) ≥ λ (t_r + g_i)² ≥ 0.

What is left of |v|, x_i = max(|v| − 2 λ g_i, 0), meets a parabola that touches the jump: for every q > 0,
max(t_i − t_r − g_i, 0) ≤ (t_i − t_r − g_i + q)²/(4q).

All this is a constant, a linear function of the t_i, and a quadratic form in them. The t_i are linear in
η_{k−1}, and λ becomes the largest eigenvalue of that form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine.max_layers import MaxLayer, MaxLayers, max_layers
from regrob.affine.rectified import Site, magnitude, spread
from regrob.certificates.balls import TINY, least
from regrob.certificates.rounded import UNIT, rounding
from regrob.checks import ImageLabels, Images, PerImage, check_box, check_count, check_images, check_labels

FIRST_SHARE, GROWTH = 0.5, 2.0
"""How far units of the first layer are thought to move, in terms of what a step straight to the nearest
mistake moves them, and by how much more it is in each layer: relaxations add up."""

STEPS = (1.5, 0.67)
"""By what a layer's share is multiplied to see whether another is better."""

WORTHWHILE = 2e-3
"""The search goes on where a change makes the radius longer by more than this share."""

POWER_STEPS = 40
"""Of the power method, which only guesses the largest eigenvalue."""

ABOVE = (1.0003, 1.003, 1.03, 1.3, 2.0)
"""By so much the guess is raised, in turn, until Cholesky's factorisation proves it."""

BISECTIONS = 40
"""Of the interval in which the radius lies."""


class Paraboloid(NamedTuple):
    """α + v · η − λ ‖η‖² below the margin, for all movements η of some layer's outputs.

    Attributes:
        constant: α.
        slopes: v (n,).
        curvature: λ ≥ 0.
    """

    constant: float
    slopes: Tensor
    curvature: float


def quadratic_radius(
    network: nn.Module,
    images: Images,
    labels: ImageLabels,
    *,
    box: tuple[float, float] | None = (0.0, 1.0),
    rounds: int = 1,
    layers: MaxLayers | None = None,
    going: Callable[[], bool] | None = None,
) -> PerImage:
    """An ℓ2 radius in which no perturbation fools the network, by quadratic bounds: (N,), float64.

    Rounded down; zero where the image is misclassified.

    Args:
        network: a chain of affine maps, ReLUs and max-pools, in eval mode.
        box: the range of a pixel, or None; images are inside it.
        rounds: how often the parabolas of all layers, then of each, are made wider or narrower in search of a
            larger radius, at most.
        layers: of the network, if they are known already.
        going: asked before each trial; once it says no, what is certified by then is returned.

    Raises:
        InputError: images or labels that do not fit; an image outside the box; a count below one.
        NotPiecewiseLinearError: the network is not piecewise linear.
        UnsuitableNetworkError: it is no such chain.

    >>> network = nn.Sequential(nn.Flatten(), nn.ReLU())
    >>> quadratic_radius(network, torch.tensor([[0.75, 0.25]]), torch.tensor([0]))  # the true one is √2/4
    tensor([0.3310], dtype=torch.float64)
    """
    check_images(images)
    check_count("rounds", rounds)
    check_box(box, images)
    made = max_layers(network, images) if layers is None else layers
    check_labels(labels, made.weight.new_zeros(len(images), len(made.bias)))
    certified = torch.zeros(len(images), dtype=torch.float64)
    for i, (image, label) in enumerate(zip(images.detach().double(), labels.tolist(), strict=True)):
        around = _Around(made, image, box)
        runs = [around.trials(int(label), j, rounds) for j in range(len(around.logits)) if j != label]
        radii = [0.0] * len(runs)
        while radii and (going is None or going()):
            nearest = min(range(len(radii)), key=radii.__getitem__)  # first those that were not tried yet
            radius = next(runs[nearest], None)
            if radius is None:
                break
            radii[nearest] = radius
        certified[i] = min(radii, default=math.inf)
    return certified


@dataclass(frozen=True)
class _At:
    """A layer at the image.

    Attributes:
        rows: (outputs, n), which of W's rows the entries are; of zero, the floor, −1.
        reference: (outputs,), the place of the entry that is largest.
        gaps: (outputs, n), g ≥ 0, rounded down.
        apart: (outputs, n), ‖w_i − w_r‖, nearly; zero only where the rows are equal.
    """

    layer: MaxLayer
    rows: Tensor
    reference: Tensor
    gaps: Tensor
    apart: Tensor

    @classmethod
    def of(cls, layer: MaxLayer, heights: Tensor) -> _At:
        rows, values = layer.windows, heights[layer.windows]
        if layer.floor:
            rows = torch.cat([rows, torch.full_like(rows[:, :1], -1)], dim=1)
            values = torch.cat([values, torch.zeros_like(values[:, :1])], dim=1)
        largest, reference = values.max(dim=1)
        gaps = (largest[:, None] - values) * (1.0 - 4 * UNIT)
        apart = torch.empty_like(gaps)
        own = _taken(layer.weight, rows.gather(1, reference[:, None])[:, 0])
        for entry in range(rows.shape[1]):
            difference = _taken(layer.weight, rows[:, entry]) - own
            length = torch.linalg.vector_norm(difference, dim=1)
            apart[:, entry] = torch.where((difference != 0).any(dim=1), length.clamp_min(TINY), 0.0)
        return cls(layer, rows, reference, gaps, apart)

    def pushed(self, moved: Tensor) -> tuple[Tensor, Tensor]:
        """How far the entries move with the inputs, (outputs, n), and the outputs if no entry overtakes."""
        entries = _taken(self.layer.weight @ moved, self.rows)
        return entries, entries.gather(1, self.reference[:, None])[:, 0]

    def pulled(self, slopes: Tensor) -> Tensor:
        """The slopes in the inputs if no entry overtakes."""
        chosen = self.rows.gather(1, self.reference[:, None])[:, 0]
        there = chosen >= 0
        return slopes[there] @ self.layer.weight[chosen[there]]


def _taken(table: Tensor, places: Tensor) -> Tensor:
    """Entries or rows of a table, and zeros at the place −1."""
    taken = table[places.clamp_min(0)]
    return torch.where((places >= 0).view(*places.shape, *[1] * (table.ndim - 1)), taken, 0.0)


class _Around:
    """The network around one image.

    What is bounded is a network whose heights at the image are exactly the computed ones. By how much its
    logits may differ from the given network's, within `reach` of the image, is known and given up.
    """

    def __init__(self, made: MaxLayers, image: Tensor, box: tuple[float, float] | None) -> None:
        self.made, self.x = made, image.flatten()
        limits = (-math.inf, math.inf) if box is None else box
        self.low, self.high = limits[0] - self.x, limits[1] - self.x
        self.at: list[_At] = []
        h = self.x
        for layer in made.layers:
            heights = layer.weight @ h + layer.bias
            self.at.append(_At.of(layer, heights))
            h = layer.values(heights)
        self.logits = made.weight @ h + made.bias
        self.image = image

    def straight(self, label: int, rival: int) -> float:
        """How far the rival's nearest mistake would be if no unit switched."""
        slopes = self.made.weight[label] - self.made.weight[rival]
        for at in reversed(self.at):
            slopes = at.pulled(slopes)
        size = float(torch.linalg.vector_norm(slopes))
        margin = float(self.logits[label] - self.logits[rival])
        return 0.0 if not margin > 0 else margin / size if size > 0 else math.inf

    def trials(self, label: int, rival: int, rounds: int) -> Iterator[float]:
        """What is certified against one rival after each trial."""
        straight = self.straight(label, rival)
        if straight == 0.0:
            return
        reach = min(straight, 2.0 * float(torch.linalg.vector_norm(torch.maximum(-self.low, self.high))))
        if not reach < math.inf:
            reach = 1.0
        last = self.made.weight[label] - self.made.weight[rival]
        margin = float(self.logits[label] - self.logits[rival])
        lost = self._lost(reach)
        margin -= float(lost[label] + lost[rival]) + 4 * UNIT * float(self.logits.abs().max())
        top = Paraboloid(margin, last, 0.0)
        both = self.made.weight[[label, rival]].abs().sum(dim=0)
        top = _widened(top, rounding(len(last)) * float(torch.linalg.vector_norm(both)))
        moves = self._typical_moves(last, reach)

        known: dict[tuple[float, ...], Paraboloid] = {(): top}

        def under(shares: tuple[float, ...]) -> Paraboloid:
            """The bound behind the last layers, which a change in an earlier one leaves as it is."""
            if shares not in known:
                k = len(self.at) - len(shares)
                known[shares] = below(self.at[k], under(shares[1:]), shares[0] * moves[k])
            return known[shares]

        shares = tuple(FIRST_SHARE * GROWTH**k for k in range(len(self.at)))
        best = self._radius(under(shares), reach)
        yield best
        places = range(len(shares))
        for _ in range(rounds):
            before = best
            for changed in (places, *(places[k : k + 1] for k in places)):  # all layers at once, then each
                for step in STEPS:
                    start = best
                    while True:
                        candidate = tuple(
                            share * step if k in changed else share for k, share in enumerate(shares)
                        )
                        radius = self._radius(under(candidate), reach)
                        better = radius > (1.0 + WORTHWHILE) * best
                        if better:
                            best, shares = radius, candidate
                        yield best
                        if not better:
                            break
                    if best > start:  # the other way leads back
                        break
            if best == before:
                return

    def _typical_moves(self, last: Tensor, reach: float) -> list[float]:
        """Root mean squares of (t_i − t_r)/‖w_i − w_r‖ of each layer, for a step straight to the mistake."""
        slopes = last
        for at in reversed(self.at):
            slopes = at.pulled(slopes)
        moved = -reach * slopes / torch.linalg.vector_norm(slopes).clamp_min(TINY)
        moves: list[float] = []
        for at in self.at:
            entries, outputs = at.pushed(moved)
            other = at.apart > 0
            squares = ((entries - outputs[:, None])[other] / at.apart[other]).square()
            moves.append(math.sqrt(float(squares.mean())) if len(squares) else 1.0)
            moved = outputs
        return [move if 0 < move < math.inf else 1.0 for move in moves]

    def _lost(self, reach: float) -> Tensor:
        """How far the logits of the network that is bounded may be from those of the given one: (K,)."""
        record = self.made.record
        widest = max([layer.weight.shape[1] for layer in self.made.layers] + [self.made.weight.shape[1]])
        gamma = 4 * rounding(record.roundings + widest)
        largest = (self.image.abs() + reach).view(record.inside.shape)
        before = float(largest.sum())  # a weight is known up to the rounding of a bias

        def total(operands: list[Tensor]) -> list[Tensor]:
            sizes, errors = operands
            return [sizes, errors * (1 + gamma) + (gamma + 8 * UNIT * before) * sizes + TINY]

        def bend(site: Site, operands: list[Tensor]) -> list[Tensor]:
            nonlocal before
            outputs = [site.kind.values(part) for part in total(operands)]
            before = float(outputs[0].sum())
            return outputs

        with torch.no_grad():
            swept = record.sweep([largest, torch.zeros_like(largest)], [magnitude, spread], bend)
        return total(swept)[1][0]

    def _radius(self, bound: Paraboloid, reach: float) -> float:
        """The largest radius, nearly, at which the paraboloid is positive in the ball and the box."""
        alpha, slopes, curvature = bound

        def positive(radius: float) -> bool:
            ball = torch.tensor([radius], dtype=torch.float64)
            low, high = self.low * (1 + 4 * UNIT), self.high * (1 + 4 * UNIT)
            tilt = float(least(slopes[None], ball, low, high, None, None, 2.0))
            bow = curvature * radius * radius
            return alpha + tilt - bow - 8 * UNIT * (abs(alpha) + abs(tilt) + bow) > 0.0

        if not all(map(math.isfinite, (alpha, curvature))) or not bool(slopes.isfinite().all()):
            return 0.0
        if positive(reach):
            return reach
        lower, upper = 0.0, reach
        for _ in range(BISECTIONS):
            middle = 0.5 * (lower + upper)
            lower, upper = (middle, upper) if positive(middle) else (lower, middle)
        return lower


def below(at: _At, bound: Paraboloid, move: float) -> Paraboloid:
    """The paraboloid in a layer's inputs, from one in its outputs.

    Args:
        move: how far a row of length one is thought to move; whatever it is, the result holds.
    """
    alpha, v, lam = bound
    weight, rows = at.layer.weight, at.rows
    chosen = rows.gather(1, at.reference[:, None])
    falls = (-v).clamp_min(0.0)[:, None]
    unpaid = (falls * (1 + 16 * UNIT) - 2 * lam * at.gaps * (1 - 16 * UNIT)).clamp_min(0.0)
    unpaid = torch.where(at.apart > 0, unpaid, 0.0)  # the entry itself, and a twin, never overtake
    q = torch.hypot(at.gaps, move * at.apart).clamp_min(TINY)
    bend = unpaid / (4 * q)
    rise = q - at.gaps
    tilt = 2 * bend * rise
    constant = float((bend * rise.square()).sum())
    # coefficients of the rows: v on t_r, and −tilt on each t_i − t_r
    count = len(weight)
    there = rows >= 0
    flat = rows.clamp_min(0)
    slopes, sizes = torch.zeros(2, count, dtype=torch.float64).unbind()
    for table, on_reference, on_entries in (
        (slopes, v + tilt.sum(dim=1), -tilt),
        (sizes, v.abs() + tilt.sum(dim=1), tilt),
    ):
        table.index_add_(0, flat.flatten(), (on_entries * there).flatten())
        table.index_add_(0, chosen.clamp_min(0)[:, 0], on_reference * (chosen[:, 0] >= 0))
    # the quadratic form λ Σ t_i² + Σ bend_i (t_i − t_r)², as rows Y with WᵀY
    diagonal = torch.zeros(count, dtype=torch.float64)
    diagonal.index_add_(0, flat.flatten(), ((lam + bend) * there).flatten())
    diagonal.index_add_(0, chosen.clamp_min(0)[:, 0], bend.sum(dim=1) * (chosen[:, 0] >= 0))
    form = diagonal[:, None] * weight
    lengths = torch.linalg.vector_norm(weight, dim=1)
    largest = float(diagonal @ lengths.square())
    for entry in range(rows.shape[1]):
        pair = there[:, entry] & (chosen[:, 0] >= 0) & (bend[:, entry] > 0)
        i, r, share = rows[pair, entry], chosen[pair, 0], bend[pair, entry]
        form.index_add_(0, i, -share[:, None] * weight[r])
        form.index_add_(0, r, -share[:, None] * weight[i])
        largest += 2 * float((share * lengths[i] * lengths[r]).sum())
    operations = rows.numel() + weight.shape[1]
    slack = rounding(operations)
    curvature = largest_eigenvalue(weight.T @ form, slack * largest)
    error = slack * float(torch.linalg.vector_norm(weight)) * float(torch.linalg.vector_norm(sizes))
    pulled_back = Paraboloid(alpha - constant * (1 + slack), slopes @ weight, curvature)
    return _widened(pulled_back, error)


def _widened(bound: Paraboloid, error: float) -> Paraboloid:
    """The paraboloid below one whose slopes differ by a vector that is at most so long.

    For every s > 0, error ‖η‖ ≤ error (‖η‖²/s + s)/2; and rounding errors of all sums are paid too.
    """
    alpha, slopes, curvature = bound
    s = math.sqrt(abs(alpha) / curvature) if alpha and curvature else 1.0
    if not 0 < s < math.inf:
        s = 1.0
    return Paraboloid(
        alpha - error * s - 8 * UNIT * abs(alpha), slopes, (curvature + error / s) * (1 + 8 * UNIT)
    )


def largest_eigenvalue(matrix: Tensor, error: float) -> float:
    """An upper bound on the largest eigenvalue of a positive semidefinite matrix: infinite if none is proved.

    A matrix whose Cholesky factorisation runs to its end is positive semidefinite but for
    γ_{n+1} times its trace (Rump 2006).

    Args:
        matrix: (n, n), symmetric up to rounding.
        error: by how much, in the spectral norm, it may differ from what is meant.

    >>> round(largest_eigenvalue(torch.tensor([[2.0, 1.0], [1.0, 2.0]]).double(), 0.0), 2)
    3.0
    """
    n = len(matrix)
    matrix = (matrix + matrix.T) / 2
    trace = float(matrix.diagonal().sum())
    if not math.isfinite(trace) or not bool(matrix.isfinite().all()):
        return math.inf
    if trace <= 0.0 or not n:
        return error
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(n, dtype=torch.float64, generator=generator)
    guess = 0.0
    for _ in range(POWER_STEPS):
        vector = matrix @ vector
        guess = float(torch.linalg.vector_norm(vector))
        if not guess > 0.0:
            break
        vector = vector / guess
    guess = max(guess, trace / n)
    for factor in ABOVE:
        candidate = factor * guess
        shifted = candidate * torch.eye(n, dtype=torch.float64) - matrix
        if int(torch.linalg.cholesky_ex(shifted).info) == 0:
            hair = rounding(n + 2) * (n * candidate + trace)
            return candidate + hair + error
    return trace * (1 + rounding(n)) + error
