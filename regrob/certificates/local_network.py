"""A network of dense layers around one image: every unit that cannot switch is folded away, exactly.

Where a unit's height a = w·h + b keeps its sign on a set, its ReLU is a linear map there: h = a where a ≥ 0
and h = 0 where a ≤ 0. A height on which nothing acts is a constant, and so is its ReLU. Composing these
maps leaves the few units that may switch. With δ the perturbation, h_k their outputs in the order of the
layers, and k' < k,

    a_k = A_k·δ + Σ_k' B_kk' h_k' + c_k,    h_k = max(a_k, 0),    l_k ≤ a_k ≤ u_k,    l_k < 0 < u_k,

and the margin against one rival is such a form as well. A mistake is where it is at most 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from regrob.affine.relu_layers import ReluLayers
from regrob.certificates.balls import room
from regrob.certificates.rounded import accumulated
from regrob.errors import InputError

Array = NDArray[np.float64]


class AffineForms(NamedTuple):
    """N functions rows·δ + mixing·h + offset of the perturbation δ and the outputs h.

    Attributes:
        rows: (N, n), the slopes in δ.
        mixing: (N, m), the slopes in h.
        offsets: (N,).
        errors: (N,), how far each may be from what exact arithmetic gives, anywhere on the set.
    """

    rows: Array
    mixing: Array
    offsets: Array
    errors: Array

    def at(self, step: Array, outputs: Array) -> Array:
        """The N values at δ (n,) and h (m,)."""
        values: Array = self.rows @ step + self.mixing @ outputs + self.offsets
        return values

    def sizes(self, radius: float, upper: Array) -> Array:
        """(N,), at least the size of any partial sum of the value, for ‖δ‖ ≤ radius and 0 ≤ h ≤ upper."""
        lengths = np.linalg.norm(self.rows, axis=1)
        sizes: Array = lengths * radius + np.abs(self.mixing) @ upper + np.abs(self.offsets)
        return sizes

    def joined(self, others: AffineForms) -> AffineForms:
        """These forms, then the others."""
        return AffineForms(*(np.concatenate(pair) for pair in zip(self, others, strict=True)))

    def chosen(self, which: Array | Sequence[int] | NDArray[np.intp]) -> AffineForms:
        """The forms at these positions."""
        return AffineForms(*(part[np.asarray(which, dtype=np.intp)] for part in self))

    def negated(self) -> AffineForms:
        """Minus each form."""
        return AffineForms(-self.rows, -self.mixing, -self.offsets, self.errors)


class LocalNetwork(NamedTuple):
    """What is left of a network on {δ: ‖δ‖ ≤ radius, low ≤ δ ≤ high, constraints ≤ 0}.

    Attributes:
        units: the heights a_k of the m units that may switch; `mixing` is strictly lower triangular.
        lower, upper: (m,), l < 0 < u, which hold wherever the constraints do.
        constraints: forms that are at most 0. The first is the margin; then come signs of split units, and
            half-spaces.
        low, high: (n,), the box around the image; infinite where there is none.
        radius: of the ball.
        names: (layer, index) of each of the m units.
    """

    units: AffineForms
    lower: Array
    upper: Array
    constraints: AffineForms
    low: Array
    high: Array
    radius: float
    names: tuple[tuple[int, int], ...]


def local_network(
    layers: ReluLayers,
    image: Tensor,
    lower: Sequence[Tensor],
    upper: Sequence[Tensor],
    *,
    label: int,
    rival: int,
    radius: float,
    box: tuple[float, float] | None = (0.0, 1.0),
    splits: Mapping[tuple[int, int], bool] | None = None,
    half_spaces: tuple[Tensor, Tensor] | None = None,
) -> LocalNetwork:
    """Fold away every unit whose sign is known, and every unit whose height is the same everywhere.

    Args:
        layers: dense maps and ReLUs.
        image: x, flattened or not.
        lower, upper: of the heights of each hidden layer, one tensor a layer. They must hold at every x + δ
            of the set for which the margin is at most 0.
        label, rival: the margin is z_label − z_rival.
        radius: of the ball that the set lies in.
        box: the range of a pixel, None for no limits.
        splits: units (layer, index) whose sign is assumed: True for a ≥ 0. The unit is folded away, and its
            sign becomes a constraint.
        half_spaces: (c, e), c (k, n) and e (k,): c·δ + e ≤ 0 holds on the set.

    Raises:
        InputError: shapes that do not fit, a bound or radius that is not finite, an image outside the box, a
            split of a unit that does not exist.

    >>> import torch
    >>> eye = torch.eye(2, dtype=torch.float64)
    >>> layers = ReluLayers((eye, eye), (torch.zeros(2).double(), torch.zeros(2).double()))
    >>> bounds = [torch.tensor([0.5, -0.5]).double()], [torch.tensor([1.5, 0.5]).double()]
    >>> local = local_network(layers, torch.tensor([1.0, 0.0]), *bounds, label=0, rival=1, radius=0.5)
    >>> local.names, local.constraints.rows.tolist(), local.constraints.mixing.tolist()
    (((0, 1),), [[1.0, 0.0]], [[-1.0]])
    """
    x = image.detach().flatten().double().numpy()
    weights = [weight.detach().double().numpy() for weight in layers.weights]
    biases = [bias.detach().double().numpy() for bias in layers.biases]
    lowers = [np.asarray(bound.detach().double().numpy()) for bound in lower]
    uppers = [np.asarray(bound.detach().double().numpy()) for bound in upper]
    known = dict(splits or {})
    _check(x, weights, biases, lowers, uppers, label, rival, radius, box, known)

    unstable: list[NDArray[np.intp]] = []
    constant: list[NDArray[np.bool_]] = []
    for layer, varies in enumerate(_varying(weights[:-1], uppers)):
        unknown = (lowers[layer] < 0) & (uppers[layer] > 0)
        unknown[[unit for there, unit in known if there == layer]] = False
        unstable.append(np.flatnonzero(unknown & varies))
        constant.append(unknown & ~varies)
    names = tuple((layer, int(i)) for layer, units in enumerate(unstable) for i in units)
    m, n = len(names), len(x)
    low_h = np.array([lowers[layer][i] for layer, i in names])
    up_h = np.array([uppers[layer][i] for layer, i in names])

    kept: list[AffineForms] = []
    signs: list[AffineForms] = []
    before = AffineForms(
        np.eye(0, n), np.zeros((0, m)), np.zeros(0), np.zeros(0)
    )  # outputs of the last layer
    place = 0
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        last = layer == len(weights) - 1
        if last:
            weight, bias = (weight[[label]] - weight[[rival]]), bias[[label]] - bias[[rival]]
        if layer == 0:
            slack = accumulated(n + 4) * (np.abs(weight) @ np.abs(x) + np.abs(bias))
            slack += accumulated(2) * radius * np.linalg.norm(weight, axis=1)  # of a difference of two rows
            heights = AffineForms(weight, np.zeros((len(weight), m)), weight @ x + bias, slack)
        else:
            heights = _composed(weight, bias, before, radius, up_h)
        if last:
            margin = heights
            break
        # max(a, 0) is no farther from max(c, 0) than the constant height a from its computed value c
        active = (lowers[layer] >= 0) | (constant[layer] & (heights.offsets > 0))
        for (there, unit), positive in known.items():
            if there == layer:
                active[unit] = positive
                form = heights.chosen([unit])
                signs.append(form.negated() if positive else form)
        rows, mixing, offsets, errors = (part.copy() for part in heights)
        for part in (rows, mixing, offsets):
            part[~active] = 0.0
        errors[~active & ~constant[layer]] = 0.0
        switching = unstable[layer]
        kept.append(heights.chosen(switching))
        mixing[switching, place + np.arange(len(switching))] = 1.0
        place += len(switching)
        before = AffineForms(rows, mixing, offsets, errors)

    nothing = AffineForms(np.zeros((0, n)), np.zeros((0, m)), np.zeros(0), np.zeros(0))
    units = nothing
    for form in kept:
        units = units.joined(form)
    constraints = margin
    for form in signs:
        constraints = constraints.joined(form)
    if half_spaces is not None:
        c, e = (part.detach().double().numpy() for part in half_spaces)
        constraints = constraints.joined(AffineForms(c, np.zeros((len(c), m)), e, np.zeros(len(e))))
    low, high = (part.numpy() for part in room(image.detach().flatten().double(), box))
    return LocalNetwork(units, low_h, up_h, constraints, low, high, float(radius), names)


def _varying(weights: list[Array], uppers: list[Array]) -> list[NDArray[np.bool_]]:
    """Which units' heights depend on the image, by layer: those with a weight from an output that does."""
    varying: list[NDArray[np.bool_]] = []
    before = np.ones(weights[0].shape[1] if weights else 0, dtype=bool)
    for weight, upper in zip(weights, uppers, strict=True):
        varying.append((weight[:, before] != 0).any(axis=1))
        before = varying[-1] & (upper > 0)
    return varying


def _composed(weight: Array, bias: Array, before: AffineForms, radius: float, upper: Array) -> AffineForms:
    """The heights weight · (outputs before) + bias, and their accumulated rounding errors."""
    sizes = np.abs(weight) @ before.sizes(radius, upper) + np.abs(bias)
    gamma = accumulated(weight.shape[1] + 8)
    errors = (1 + gamma) * (np.abs(weight) @ before.errors) + gamma * (1 + gamma) * sizes
    live = np.flatnonzero(before.rows.any(axis=1) | (before.offsets != 0) | before.mixing.any(axis=1))
    part = weight[:, live]
    return AffineForms(
        part @ before.rows[live], part @ before.mixing[live], part @ before.offsets[live] + bias, errors
    )


def _check(
    x: Array,
    weights: list[Array],
    biases: list[Array],
    lowers: list[Array],
    uppers: list[Array],
    label: int,
    rival: int,
    radius: float,
    box: tuple[float, float] | None,
    splits: Mapping[tuple[int, int], bool],
) -> None:
    if weights[0].shape[1] != len(x):
        raise InputError(f"the image has {len(x)} pixels, the first layer {weights[0].shape[1]} inputs")
    sizes = [len(bias) for bias in biases[:-1]]
    for name, bounds in (("lower", lowers), ("upper", uppers)):
        if [len(bound) for bound in bounds] != sizes:
            raise InputError(
                f"{name} must hold one bound a hidden unit, {sizes}, got {[len(bound) for bound in bounds]}"
            )
        if not all(np.isfinite(bound).all() for bound in bounds):
            raise InputError(f"{name} must be finite: a bound on a height is NaN or infinite")
    for layer, unit in splits:
        if not (0 <= layer < len(sizes) and 0 <= unit < sizes[layer]):
            raise InputError(
                f"splits must name hidden units, of which the layers have {sizes}; got {layer, unit}"
            )
    classes = len(biases[-1])
    if not (0 <= label < classes and 0 <= rival < classes and label != rival):
        raise InputError(f"label and rival must be two of the {classes} classes, got {label} and {rival}")
    if not 0 < radius < math.inf:
        raise InputError(f"radius must be positive and finite, got {radius}")
    if not np.isfinite(x).all() or (box is not None and not ((x >= box[0]) & (x <= box[1])).all()):
        raise InputError(f"every pixel must be finite and in the box {box}, got {x.min()} … {x.max()}")
