"""Hein and Andriushchenko's guarantee from bounds on the local cross-Lipschitz constant.

Their Theorem 2.1 (NIPS 2017): if L_j(R) ≥ ‖∇(z_y − z_j)‖_q on the ball of radius R, with 1/p + 1/q = 1, then
no perturbation with ‖δ‖_p < max_R min{R, min_j (z_y − z_j)/L_j(R)} moves x to another class. Along the
segment from x to x + δ, which stays in the ball and in the box of pixels, z_y − z_j falls by at most
L_j(R)‖δ‖_p. All rests on how well L_j(R) is bounded; of a network with ReLUs the gradient is

    ∇(z_y − z_j) = W_1ᵀ D_1 W_2ᵀ D_2 ⋯ W_{L−1}ᵀ D_{L−1} c,    c = W_L[y] − W_L[j],

where the diagonal D_k says which units of layer k are on. Units that cannot switch in the ball have their
entry; of the others only 0 ≤ d ≤ 1 is used, each as if it switched alone.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine import ReluLayers, relu_layers
from regrob.certificates.balls import dual, least
from regrob.certificates.dense_network import Bounds, Relaxation, surroundings
from regrob.certificates.rounded import rounded_down, rounding
from regrob.checks import (
    ImageLabels,
    Images,
    Logits,
    PerImage,
    check_box,
    check_images,
    check_labels,
    check_norm,
)
from regrob.errors import InputError

Analysis = Literal["interval", "linear"]

RADII = 6
"""Radii that are tried at once."""

ROUNDS = 6
"""How often the interval between the radii that are too short and too long is divided anew."""

RANK, CLIMBS = 6, 20
"""Columns of the matrix with which the semidefinite relaxation is approached, and steps."""

FURTHEST = 1e100
"""The largest R that is tried without a box."""

NEARLY = 1e-9
"""A radius around x in which hardly a unit switches."""

SMALLEST = torch.finfo(torch.float64).tiny
"""Added where a product may underflow: a gradient that is only too small to be stored is not zero."""


def cross_lipschitz_radius(
    network: nn.Module,
    images: Images,
    labels: ImageLabels,
    *,
    norm: float = 2.0,
    analysis: Analysis = "linear",
    box: tuple[float, float] | None = (0.0, 1.0),
) -> PerImage:
    """No mistake in the box is nearer: max_R min{R, min_j (z_y − z_j)/L_j(R)} with proved L_j(R), (N,).

    Every R gives a guarantee, so that the search for the best R can only be too modest. Zero if an image is
    misclassified; infinite if no point of the box is a mistake by this proof. Sound for the network whose
    weights are the given ones and whose arithmetic is exact: what float64 may round is given up.

    Args:
        network: a chain of affine maps and ReLUs, in eval mode.
        norm: p ≥ 1, of the perturbation.
        analysis: how to find the units that may switch, and the gradients that result; see
            `local_cross_lipschitz`.
        box: the range of a pixel, or None; images are inside it.

    Raises:
        InputError: as `relu_layers`; labels that do not fit; a norm below 1; an image outside the box.
        NotPiecewiseLinearError, UnsuitableNetworkError: as `relu_layers`.

    >>> cross_lipschitz_radius(nn.ReLU(), torch.tensor([[1.0, 5.0]]), torch.tensor([1]), box=None)
    tensor([2.8284])
    """
    layers, x, y = _checked(network, images, labels, norm, box)
    radii = [
        _radius(layers, image, int(label), norm, analysis, box) for image, label in zip(x, y, strict=True)
    ]
    return rounded_down(torch.tensor(radii, dtype=torch.float64), images.dtype)


def local_cross_lipschitz(
    network: nn.Module,
    images: Images,
    labels: ImageLabels,
    radius: PerImage,
    *,
    norm: float = 2.0,
    analysis: Analysis = "linear",
    box: tuple[float, float] | None = (0.0, 1.0),
) -> Logits:
    """Upper bounds on the local cross-Lipschitz constants L_j(R) = sup ‖∇(z_y − z_j)‖_q, (N, K); 0 at j = y.

    The supremum is over the ball of radius R in the box. Let r_k be what arrives at the outputs of layer k,
    r_{L−1} = c and r_{k−1} = W_kᵀ D_k r_k, and |r_k| ≤ R_k.

    *Interval*: units that may switch are found by interval arithmetic, layer by layer, from the exact range
    of each unit of the first. Then r_k ranges over an interval vector: an entry times d ∈ [0, 1] ranges over
    its hull with 0. The norm of the entries' largest absolute values bounds ‖r_0‖_q. What is lost: the
    interval takes every *pixel's* worst case, each with other units switched.

    *Linear*: units that may switch are found by linear bounds. Write D_k = M_k + E_k with M_k = ½ where a
    unit may switch, so that r_0 = r̄ + Σ_k P_kᵀ E_k r_k, where r̄ is the gradient for the means M and P_k the
    Jacobian of layer k for them. With the vectors of all E_k r_k stacked behind a 1 to e = (1, …), and P_k's
    rows behind r̄ to P, it is ‖r_0‖₂² = eᵀPPᵀe with |e| ≤ (1, ½R): at most Σ λ_u h_u² for any λ with
    diag(λ) ≥ PPᵀ (`_largest_square`). Units whose Jacobians are nearly orthogonal, as most are in many
    dimensions, thus add up by squares. For other q, ‖r_0‖_q ≤ n^max(0, 1/q − 1/2) ‖r_0‖₂. The interval
    bound of r_0 is used where it is the smaller one.

    Args:
        radius: R, (N,), at least 0.
        network, images, labels, norm, analysis, box: as of `cross_lipschitz_radius`.

    Raises:
        InputError, NotPiecewiseLinearError, UnsuitableNetworkError: as `cross_lipschitz_radius`.

    >>> x, y = torch.tensor([[1.0, 5.0]]), torch.tensor([1])
    >>> for R in (0.9, 1.1):  # beyond 1 the first unit may be off
    ...     print(local_cross_lipschitz(nn.ReLU(), x, y, torch.tensor([R]), box=None))
    tensor([[1.4142, 0.0000]])
    tensor([[1.4142, 0.0000]])
    """
    layers, x, y = _checked(network, images, labels, norm, box)
    if radius.shape != y.shape or not bool((radius >= 0).all()):
        raise InputError(f"radius must hold one number of at least 0 an image, got {radius.tolist()}")
    constants = [
        _Local(layers, image, int(label), norm, analysis, box).constants(R[None].double())[0]
        for image, label, R in zip(x, y, radius, strict=True)
    ]
    exact = torch.stack(constants)
    rounded = exact.to(images.dtype)
    above = torch.nextafter(rounded, torch.full_like(rounded, math.inf))
    return torch.where(rounded.double() < exact, above, rounded)


def _checked(
    network: nn.Module, images: Images, labels: ImageLabels, norm: float, box: tuple[float, float] | None
) -> tuple[ReluLayers, Tensor, Tensor]:
    check_images(images)
    check_norm(norm)
    layers = relu_layers(network, images)
    x = images.detach().flatten(1).double()
    check_labels(labels, layers.logits(x))
    check_box(box, x)
    return layers, x, labels


def _radius(
    layers: ReluLayers,
    x: Tensor,
    label: int,
    norm: float,
    analysis: Analysis,
    box: tuple[float, float] | None,
) -> float:
    """The best guarantee over R for one image (n,)."""
    local = _Local(layers, x, label, norm, analysis, box)
    if not bool((local.margins > 0).all()):
        return 0.0
    if local.constant:
        return math.inf
    farthest = local.around._replace(norm=norm).farthest()
    # Nearly at x the constants are least, so that no R further than `above` is of use.
    above = min(float(local.guarantees(torch.tensor([NEARLY], dtype=torch.float64))), farthest)
    if above == math.inf:  # flat at x, and no box: go on until the constants are not zero
        above = FURTHEST
    below = 0.0
    for count in range(ROUNDS):
        start = max(below, min(above, 1e3) * 1e-3) if count == 0 else below
        tried = torch.linspace(0.0, 1.0, RADII + (count > 0), dtype=torch.float64)[int(count > 0) :]
        radii = start * (above / start) ** tried
        reached = local.guarantees(radii)
        if bool((reached >= radii)[radii >= farthest].any()):
            return math.inf
        below = max(below, float(torch.minimum(radii, reached).amax()))
        short = radii[reached < radii]
        above = min([above, *short.tolist()])
        if not 0.0 < below < above * (1.0 - 1e-3):
            break
    return below


class _Backward(NamedTuple):
    """What arrives at the outputs of each hidden layer, from the first to the last: (B, rivals, units) each.

    Attributes:
        middle, spread: the interval middle ± spread.
        size: what the absolute values of all products could add up to, for rounding.
    """

    middle: list[Tensor]
    spread: list[Tensor]
    size: list[Tensor]


class _Local:
    """One image, and what the network may do in balls around it; B radii at once."""

    def __init__(
        self,
        layers: ReluLayers,
        x: Tensor,
        label: int,
        norm: float,
        analysis: Analysis,
        box: tuple[float, float] | None,
    ) -> None:
        self.layers, self.x, self.label, self.norm, self.analysis = layers, x, label, norm, analysis
        # Units are bounded on a ball that holds that of the norm: ‖δ‖₂ ≤ ‖δ‖_p for p ≤ 2, ‖δ‖_∞ ≤ ‖δ‖_p.
        self.around = surroundings(layers, x, label, box, 2.0 if norm <= 2 else math.inf)
        self.hidden = layers.weights[:-1]
        self.rivals = [j for j in range(len(layers.biases[-1])) if j != label]
        self.rows = (layers.weights[-1][label] - layers.weights[-1])[self.rivals]
        self.gamma = rounding(2 * (len(x) + sum(len(bias) for bias in layers.biases)))
        # Margins, rounded down.
        size = x.abs()
        for weight, bias in zip(layers.weights, layers.biases, strict=True):
            size = weight.abs() @ size + bias.abs()
        z = layers.logits(x)
        slack = self.gamma * (size[label] + size)
        self.margins = (z[label] - z - slack)[self.rivals]
        self.gram = self.hidden[0] @ self.hidden[0].T if self.hidden else None

    @property
    def constant(self) -> bool:
        """Whether no path of non-zero weights leads from a pixel to a difference of two logits."""
        everywhere = [torch.ones(1, len(weight), dtype=torch.float64) for weight in self.hidden]
        nowhere = [torch.zeros_like(ones) for ones in everywhere]
        return bool((self._backward(nowhere, everywhere).size[0] == 0).all())

    def guarantees(self, radii: Tensor) -> Tensor:
        """min_j (z_y − z_j)/L_j(R) for each R (B,), rounded down; infinite where all constants are zero."""
        constants = self.constants(radii)[:, self.rivals]
        reach = (self.margins / constants) * (1.0 - 2.0**-50)
        return torch.where(constants.isfinite(), reach, 0.0).amin(dim=1)

    def constants(self, radii: Tensor) -> Tensor:
        """L_j(R), rounded up: (B, K)."""
        constants = torch.zeros(len(radii), len(self.layers.biases[-1]), dtype=torch.float64)
        lower, upper = self._bounds(radii)
        on = [(low >= 0).double() for low in lower]
        unknown = [((low < 0) & (up > 0)).double() for low, up in zip(lower, upper, strict=True)]
        arriving = self._backward(on, unknown)
        entries = arriving.middle[0].abs() + arriving.spread[0] + self.gamma * arriving.size[0]
        q = dual(self.norm)
        norms = torch.linalg.vector_norm(entries, ord=q, dim=2)
        if self.analysis == "linear" and self.hidden:
            pixels = int((arriving.size[0] > 0).any(dim=(0, 1)).sum())
            factor = max(pixels, 1) ** max(0.0, 1.0 / q - 0.5)
            norms = torch.minimum(norms, factor * self._correlated(on, unknown, arriving))
        constants[:, self.rivals] = norms.nan_to_num(math.inf, math.inf) * (1.0 + self.gamma)
        return constants

    def _bounds(self, radii: Tensor) -> Bounds:
        """Of the units on the balls: (B, units) each."""
        if not self.hidden:
            return Bounds([], [])
        relaxation = Relaxation(self.around)
        if self.analysis == "linear":
            signs = torch.zeros(len(radii), sum(self.around.widths), dtype=torch.int8)
            return relaxation.bounds(radii, signs)
        bounds = Bounds([], [])
        for k, (weight, bias) in enumerate(zip(self.hidden, self.layers.biases, strict=False)):
            slack = relaxation.slack(k, float(radii.max()))
            if k == 0:
                rows, ball = weight.repeat(len(radii), 1), radii.repeat_interleave(len(weight))
                down, up = (
                    least(sign * rows, ball, self.around.low, self.around.high, None, None, self.around.norm)
                    for sign in (1.0, -1.0)
                )
                at_image = weight @ self.x + bias
                lower, upper = at_image + down.view(len(radii), -1), at_image - up.view(len(radii), -1)
            else:
                below, above = (bound.clamp_min(0.0) for bound in (bounds.lower[-1], bounds.upper[-1]))
                middle = (below + above) / 2.0 @ weight.T + bias
                spread = (above - below) / 2.0 @ weight.abs().T
                lower, upper = middle - spread, middle + spread
            bounds.lower.append((lower - slack).nan_to_num(-math.inf, math.inf, -math.inf))
            bounds.upper.append((upper + slack).nan_to_num(math.inf, math.inf, -math.inf))
        return bounds

    def _backward(self, on: list[Tensor], unknown: list[Tensor]) -> _Backward:
        """Interval vectors of r_0 … r_{L−1}, the gradient first."""
        batch = on[0].shape[0] if on else 1
        middle = self.rows.expand(batch, -1, -1)
        arriving = _Backward([middle], [torch.zeros_like(middle)], [middle.abs()])
        for k in range(len(self.hidden) - 1, -1, -1):
            weight = self.hidden[k]
            middle, spread, size = arriving.middle[0], arriving.spread[0], arriving.size[0]
            low, high = middle - spread, middle + spread
            low = on[k][:, None] * low + unknown[k][:, None] * low.clamp_max(0.0)
            high = on[k][:, None] * high + unknown[k][:, None] * high.clamp_min(0.0)
            size = (on[k] + unknown[k])[:, None] * size
            linked = (size > 0).double() @ (weight != 0).double() > 0
            arriving.middle.insert(0, (low + high) / 2.0 @ weight)
            arriving.spread.insert(0, (high - low) / 2.0 @ weight.abs())
            arriving.size.insert(0, size @ weight.abs() + SMALLEST * linked)
        return arriving

    def _correlated(self, on: list[Tensor], unknown: list[Tensor], arriving: _Backward) -> Tensor:
        """‖r_0‖₂ ≤ (max eᵀPPᵀe)^½: (B, rivals)."""
        assert self.gram is not None
        means = [a + 0.5 * b for a, b in zip(on, unknown, strict=True)]
        # r̄ and P, as combinations of the rows of W_1.
        centre = self.rows.expand(len(on[0]), -1, -1)
        for k in range(len(self.hidden) - 1, 0, -1):
            centre = (centre * means[k][:, None]) @ self.hidden[k]
        centre = centre * means[0][:, None]
        jacobians = [torch.eye(len(self.hidden[0]), dtype=torch.float64).expand(len(on[0]), -1, -1)]
        for k in range(1, len(self.hidden)):
            jacobians.append((self.hidden[k] * means[k - 1][:, None]) @ jacobians[-1])
        combined, unknown_units = torch.cat(jacobians, dim=1), torch.cat(unknown, dim=1) > 0
        entries = zip(arriving.middle[1:], arriving.spread[1:], arriving.size[1:], strict=True)
        most = torch.cat([mid.abs() + spread + self.gamma * size for mid, spread, size in entries], dim=2)
        squares = torch.empty_like(most[..., 0])
        for i, free in enumerate(unknown_units):
            T = combined[i, free]
            TG = T @ self.gram
            among = TG @ T.T
            for j, own in enumerate(centre[i]):
                with_centre = TG @ own
                first = torch.cat([own @ self.gram @ own[:, None], with_centre])
                M = torch.cat([first[None], torch.cat([with_centre[:, None], among], dim=1)])
                h = torch.cat([torch.ones(1, dtype=torch.float64), 0.5 * most[i, j, free]])
                squares[i, j] = _largest_square(M, h)
        # All products of absolute values together are at most L + 1 times those that arrive.
        total = torch.linalg.vector_norm(arriving.size[0], dim=2) * (len(self.hidden) + 2)
        rounded_up: Tensor = (squares + self.gamma * total.square()).sqrt() + SMALLEST
        return rounded_up


def _largest_square(M: Tensor, h: Tensor) -> Tensor:
    """An upper bound on eᵀMe over |e| ≤ h, for positive semidefinite M (U, U) and h (U,).

    For λ > 0 it is κ Σ λ_u h_u² with κ the largest eigenvalue of diag(λ)^−½ M diag(λ)^−½. The best λ are the
    dual variables of max tr(ZᵀMZ) over rows ‖Z_u‖ ≤ h_u, the semidefinite relaxation: λ_u h_u = ‖(MZ)_u‖ at
    its maximum, to which a few steps Z_u ← h_u (MZ)_u/‖(MZ)_u‖ climb, since the function is convex.
    """
    adding_up = (h @ M.abs()) @ h
    moving = (M.diagonal() > 0) & (h > 0)
    M, h = M[moving][:, moving], h[moving]
    if len(M) < 2:
        return adding_up
    generator = torch.Generator().manual_seed(0)
    Z = h[:, None] * torch.randn(len(M), RANK, dtype=torch.float64, generator=generator)
    for _ in range(CLIMBS):
        MZ = M @ Z
        Z = h[:, None] * MZ / torch.linalg.vector_norm(MZ, dim=1, keepdim=True).clamp_min(SMALLEST)
    scale = (torch.linalg.vector_norm(M @ Z, dim=1) / h).clamp_min(SMALLEST).rsqrt()
    scaled = scale[:, None] * M * scale
    if not bool(scaled.isfinite().all()):
        return adding_up
    largest = torch.linalg.eigvalsh(scaled)[-1] + rounding(len(M) ** 2) * scaled.diagonal().sum()
    relaxed = largest * (h / scale).square().sum()
    return torch.where(relaxed.isfinite(), torch.minimum(adding_up, relaxed), adding_up)
