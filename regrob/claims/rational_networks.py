"""The instances of enclosed checks: small ReLU networks with rational weights, at rational points off their kinks.

V and z are exact fractions, by the masked product. ∇ and H are intervals by forward-mode differentiation through the
network and its cross-entropy, which knows nothing of V: what autograd is to the checks in float64.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, cached_property
from typing import Any, NamedTuple

from regrob.claims import forward_mode
from regrob.claims.enclosure import Enclosure, dot, exp, log, norm, total
from regrob.claims.forward_mode import Jet
from regrob.errors import HypothesisError

Vector = tuple[Fraction, ...]


class AffineLayer(NamedTuple):
    """An affine layer: `weight` has one row a unit, `bias` one number a unit."""

    weight: tuple[Vector, ...]
    bias: Vector

    def scaled(self, factor: Fraction) -> AffineLayer:
        """All numbers times `factor`."""
        return AffineLayer(
            tuple(tuple(w * factor for w in row) for row in self.weight), tuple(b * factor for b in self.bias)
        )


@dataclass(frozen=True)
class NetworkAtPoint:
    """A network at a point with a label: V, z and y exactly, and the derivatives of its loss in intervals.

    What speaks of s, m, p, q, ξ and ν is about two classes.

    Attributes:
        layers: affine layers with a ReLU between two.
        x: n numbers.
        y: the label, a position among the logits; 0 is the paper's +1.
    """

    layers: tuple[AffineLayer, ...]
    x: Vector
    y: int

    @cached_property
    def _forward(self) -> tuple[list[list[bool]], list[Fraction]]:
        """The pattern and the logits."""
        masks, a = [], list(self.x)
        for layer in self.layers[:-1]:
            h = _affine(layer, a)
            if 0 in h:
                raise HypothesisError("a unit's input is exactly 0: choose a point off the kinks")
            masks.append([value > 0 for value in h])
            a = [max(value, Fraction(0)) for value in h]
        return masks, _affine(self.layers[-1], a)

    @property
    def n(self) -> int:
        """How many inputs."""
        return len(self.x)

    @property
    def has_biases(self) -> bool:
        """Whether any unit has one."""
        return any(any(layer.bias) for layer in self.layers)

    @property
    def pattern(self) -> list[list[bool]]:
        """Which units are active, layer by layer: equal throughout Q(x)."""
        return self._forward[0]

    @property
    def z(self) -> list[Fraction]:
        """K logits."""
        return self._forward[1]

    @cached_property
    def V(self) -> list[Vector]:
        """The masked product W₁D₁W₂D₂…W_d, multiplied from its end: K columns of n."""
        columns = [list(row) for row in self.layers[-1].weight]
        for layer, mask in zip(reversed(self.layers[:-1]), reversed(self.pattern), strict=True):
            masked = [
                [c if on else Fraction(0) for c, on in zip(column, mask, strict=True)] for column in columns
            ]
            columns = [
                [dot(column, inputs) for inputs in zip(*layer.weight, strict=True)] for column in masked
            ]
        return [tuple(column) for column in columns]

    @property
    def mislabelled(self) -> NetworkAtPoint:
        """The same with the other one of two labels."""
        return replace(self, y=1 - self.y)

    def scaled(self, factor: int) -> NetworkAtPoint:
        """The network with its logits times `factor`."""
        return replace(self, layers=(*self.layers[:-1], self.layers[-1].scaled(Fraction(factor))))

    # --- the oracle ------------------------------------------------------------------------

    def logits(self, x: Sequence[Jet]) -> list[Jet]:
        """The logits as functions of the input: exact jets of the network itself."""
        a = list(x)
        for layer in self.layers[:-1]:
            a = [forward_mode.relu(h) for h in _affine(layer, a)]
        return _affine(self.layers[-1], a)

    @cached_property
    def jacobian(self) -> list[Vector]:
        """∂z_k/∂x_a by forward mode, exactly: K columns of n."""
        return [jet.gradient for jet in self.logits(forward_mode.variables(self.x))]

    @cached_property
    def loss(self) -> Jet:
        """The cross-entropy, ∇ and H by forward mode."""
        return cross_entropy(self.logits(forward_mode.variables(self.x)), self.y)

    @property
    def gradient(self) -> tuple[Enclosure, ...]:
        """∇ by forward mode: n intervals."""
        return self.loss.gradient

    @property
    def hessian(self) -> tuple[tuple[Enclosure, ...], ...]:
        """H by forward mode: n rows of n intervals."""
        return self.loss.hessian

    def gain(self, r: Sequence[Enclosure]) -> Enclosure:
        """∇ᵀr + rᵀHr/2 with the oracle's ∇ and H, for a step r of n intervals."""
        return dot(self.gradient, r) + quadratic_form(self.hessian, r) / 2

    # --- two classes, in closed form --------------------------------------------------------

    @property
    def is_correct(self) -> bool:
        """Whether y has the largest logit."""
        return all(self.z[self.y] > z for k, z in enumerate(self.z) if k != self.y)

    @property
    def sign(self) -> int:
        """The paper's label, +1 or −1."""
        return 1 - 2 * self.y

    @cached_property
    def s(self) -> Vector:
        """v₊ − v₋."""
        plus, minus = self.V
        return tuple(a - b for a, b in zip(plus, minus, strict=True))

    @property
    def m(self) -> Fraction:
        """The logit margin log(p_y/q)."""
        plus, minus = self.z
        return self.sign * (plus - minus)

    @cached_property
    def p(self) -> Enclosure:
        """p_y."""
        return 1 / (1 + exp(-self.m))

    @cached_property
    def q(self) -> Enclosure:
        """1 − p_y."""
        return 1 / (1 + exp(self.m))

    @cached_property
    def xi(self) -> Enclosure:
        """ξ = log 2 − L."""
        return log(2) - softplus(-self.m)

    @cached_property
    def nu(self) -> Enclosure:
        """‖v₊ − v₋‖₂."""
        return norm(self.s)


def _affine(layer: AffineLayer, a: Sequence[Any]) -> list[Any]:
    return [dot(row, a) + b for row, b in zip(layer.weight, layer.bias, strict=True)]


def cross_entropy(logits: Sequence[Jet], y: int) -> Jet:
    """log Σ_k exp(z_k − z_y), of exact jets: its terms are 1 and the rivals'."""
    rivals = [forward_mode.exp(forward_mode.enclose(z - logits[y])) for k, z in enumerate(logits) if k != y]
    return forward_mode.log(total(rivals) + 1)


def softplus(t: Enclosure) -> Enclosure:
    """log(1 + eᵗ)."""
    return log(1 + exp(t))


def quadratic_form(matrix: Sequence[Sequence[Enclosure]], r: Sequence[Enclosure]) -> Enclosure:
    """rᵀHr."""
    return dot(r, [dot(row, r) for row in matrix])


def corners(n: int) -> Iterator[tuple[int, ...]]:
    """All sign vectors of length n."""
    return itertools.product((-1, 1), repeat=n)


def sign(x: Enclosure) -> int:
    """+1 or −1, as the whole interval says.

    Raises:
        HypothesisError: it reaches 0.
    """
    if x > 0:
        return 1
    if x < 0:
        return -1
    raise HypothesisError("the sign of an enclosure that reaches 0 is not known")


# --- which networks ---------------------------------------------------------------------------


class Plan(NamedTuple):
    """What a network is made by.

    Attributes:
        sizes: inputs, then hidden units layer by layer.
        biases: whether it has some.
        margin: |z_0 − z_1| at its point, exactly.
        opposite: the second logit is the first one, negated.
    """

    sizes: tuple[int, ...]
    biases: bool
    margin: Fraction
    opposite: bool = False


PLANS = (
    Plan((2, 3), True, Fraction(1, 1000)),
    Plan((2, 4), False, Fraction(1, 10)),
    Plan((2, 3, 2), False, Fraction(1, 2)),
    Plan((3, 4), True, Fraction(1)),
    Plan((3, 4, 3), False, Fraction(3)),
    Plan((2, 3, 3), True, Fraction(8)),
    Plan((3, 3, 4), True, Fraction(40)),
    Plan((3, 4), False, Fraction(1, 1000), opposite=True),
)
"""Margins from next to nothing to 40, where 1 − p_y is 4e-18."""


@cache
def points(classes: int = 2) -> tuple[NetworkAtPoint, ...]:
    """One point a plan, labelled with the largest logit."""
    return tuple(_point(plan, classes, random.Random(seed)) for seed, plan in enumerate(PLANS))


def two_and_three_classes() -> Iterator[tuple[NetworkAtPoint, NetworkAtPoint]]:
    """Points of two classes and of three, from the same plans."""
    return zip(points(2), points(3), strict=True)


@cache
def mistakes() -> tuple[NetworkAtPoint, ...]:
    """The same points of two classes with the other label."""
    return tuple(point.mislabelled for point in points())


@cache
def all_points() -> tuple[NetworkAtPoint, ...]:
    """Right and wrong labels."""
    return points() + mistakes()


@cache
def bias_free() -> tuple[NetworkAtPoint, ...]:
    """Those of `points` whose networks have no biases."""
    return tuple(point for point in points() if not point.has_biases)


@cache
def with_biases() -> tuple[NetworkAtPoint, ...]:
    """The others."""
    return tuple(point for point in points() if point.has_biases)


def _point(plan: Plan, classes: int, generator: random.Random) -> NetworkAtPoint:
    """Draw networks and points until one is generic; then scale its logits to the plan's margin."""

    def number() -> Fraction:
        return Fraction(int(generator.random() * 25) - 12, 8)

    def layer(inputs: int, units: int) -> AffineLayer:
        weight = tuple(tuple(number() for _ in range(inputs)) for _ in range(units))
        return AffineLayer(weight, tuple(number() if plan.biases else Fraction(0) for _ in range(units)))

    while True:
        last = layer(plan.sizes[-1], classes)
        if plan.opposite:
            first = AffineLayer(last.weight[:1], last.bias[:1])
            second = first.scaled(Fraction(-1))
            last = AffineLayer(first.weight + second.weight, first.bias + second.bias)
        hidden = [layer(inputs, units) for inputs, units in itertools.pairwise(plan.sizes)]
        x = tuple(number() for _ in range(plan.sizes[0]))
        drawn = NetworkAtPoint((*hidden, last), x, 0)
        if _is_generic(drawn):
            z = drawn.z
            scale = plan.margin / abs(z[0] - z[1])
            return NetworkAtPoint((*hidden, last.scaled(scale)), x, z.index(max(z)))


def _is_generic(point: NetworkAtPoint) -> bool:
    """Whether no unit is at its kink, no two logits are equal, and no entry of V or of v_i − v_j is 0."""
    try:
        z, V = point.z, point.V
    except HypothesisError:
        return False
    differ = (a != b for v, w in itertools.combinations(V, 2) for a, b in zip(v, w, strict=True))
    return len(set(z)) == len(z) and all(map(all, V)) and all(differ)
