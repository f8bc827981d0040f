"""A certificate for the network itself: the margin, as far as the polytope's edge.

Beyond that edge nothing is known from V and z alone. All is computed in float64, for the network whose
weights are the given ones and whose arithmetic is exact, and then rounded down to the images' precision. It
is no interval arithmetic: float64's own rounding, some 1e-15 of the heights' size, is not subtracted.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine import (
    Bend,
    Trace,
    along,
    checked_in_float64,
    checked_logits,
    gradient,
    local_map,
    require_affine_operations,
    require_equal_alone,
    require_equal_constants,
    without_backward_hooks,
)
from regrob.certificates.rounded import rounded_down
from regrob.checks import ImageLabels, Images, PerImage, check_images, check_labels
from regrob.errors import InputError, NotPiecewiseLinearError
from regrob.theory import probability
from regrob.theory.margin import margin_l2

DIRECTIONS = 32
"""Along so many random directions the lengths of all gradients are estimated, if there are more pixels."""

CHUNK = 16
"""Directions a pass."""

STEPS = (0.9, 0.3, 0.1)
"""Trial steps, as shares of the edge's distance."""

SHORT = 10.0
"""An estimated length is shorter than 1/SHORT of the true one with a probability below 1e-25 a unit.

The estimate's square is ‖∇h‖₂² χ²/32 with 32 degrees of freedom, and P(χ² ≤ 32 ε) ≤ (ε exp(1 − ε))^16.
"""


class Certificate(NamedTuple):
    """What is certified of each image, in the images' precision and rounded down.

    Attributes:
        edge: dist(x, ∂Q(x)); NaN where the example is misclassified, since nothing is certified there.
        radius: min(d, edge), zero where the example is misclassified.
    """

    edge: PerImage
    radius: PerImage


def certificate(model: nn.Module, images: Images, labels: ImageLabels, *, check: bool = True) -> Certificate:
    """The distance to the polytope's edge, and the certified radius that rests on it, from one pass.

    Args:
        check: make the trials of `require_known_bends` first, once for these images.

    Raises:
        InputError, NotPiecewiseLinearError: as `local_map` and `edge_distance`.

    >>> certificate(nn.ReLU(), torch.tensor([[1.0, 5.0], [9.0, 8.0]]), torch.tensor([1, 0]))
    Certificate(edge=tensor([1., 8.]), radius=tensor([1.0000, 0.7071]))
    """
    check_images(images)
    exact, x = checked_in_float64(model, images, check=check)
    with without_backward_hooks(exact.modules()):
        V, z = local_map(exact, x, check=False)
    check_labels(labels, z)
    correct = probability.correctly_classified(z, labels)
    radius = torch.zeros_like(z[:, 0])
    edge = torch.full_like(radius, math.nan)
    if bool(correct.any()):
        margin = margin_l2(V[correct], z[correct], labels[correct])
        edge[correct] = _edges(exact, x[correct], CHUNK, z[correct])
        radius[correct] = torch.minimum(margin, edge[correct])
    return Certificate(rounded_down(edge, images.dtype), rounded_down(radius, images.dtype))


def certified_radius(
    model: nn.Module, images: Images, labels: ImageLabels, *, check: bool = True
) -> PerImage:
    """min(d, dist(x, ∂Q(x))): no perturbation shorter than this fools the network.

    Zero where the example is misclassified or sits on a kink. Both distances are Euclidean
    and ignore the box of pixels, which can only move the nearest mistake further away.

    Args:
        model, check: as of `edge_distance`.

    Raises:
        InputError, NotPiecewiseLinearError: as `edge_distance`; logits without a gradient.

    >>> certified_radius(nn.ReLU(), torch.tensor([[1.0, 5.0]]), torch.tensor([1]))  # margin √8, edge 1
    tensor([1.])
    """
    return certificate(model, images, labels, check=check).radius


def edge_distance(model: nn.Module, images: Images, *, chunk: int = CHUNK, check: bool = True) -> PerImage:
    """dist(x, ∂Q(x)) = min |h|/‖∇h‖₂ over the heights h of the network's units (`affine.bends`).

    A unit whose height has no gradient never switches within the polytope. Zero on a kink. With more than 32
    pixels all lengths ‖∇h‖₂ are first estimated from random directions. Then the true length is computed for
    every unit that would be the nearest if its estimate were ten times too short. No unit is missed but with
    a probability below 1e-19 for a million units, and the cost is that of some hundred passes.

    Args:
        model: piecewise linear, in eval mode. Its operations are traced at each image: every one
            must be affine or bend in a known way.
        chunk: directions a pass.
        check: `affine.require_known_bends`, some ten passes of two images. What is known of the network may
            skip it; the operations are judged at each image anyway, and steps of nearly the edge's distance
            must move the logits as their gradient says.

    Raises:
        InputError: a network that cannot be copied to float64, or computes in another precision inside.
        NotPiecewiseLinearError: an operation is neither affine nor a known bend, or hidden; a trial failed.

    >>> edge_distance(nn.ReLU(), torch.tensor([[1.0, 5.0]]))
    tensor([1.])
    """
    check_images(images)
    exact, x = checked_in_float64(model, images, check=check)
    return rounded_down(_edges(exact, x, chunk), images.dtype)


def _edges(network: nn.Module, images: Tensor, chunk: int, logits: Tensor | None = None) -> Tensor:
    """The edge's distance of each image, traced alone; its logits alone must be those of the batch."""
    edges: list[Tensor] = []
    first: Trace | None = None
    for i, image in enumerate(images.split(1)):
        traced = require_affine_operations(network, image)
        first = first or traced
        require_equal_constants(first, traced)
        z = traced.logits
        assert z is not None  # what hides its operations is refused
        if logits is not None:
            require_equal_alone(logits[i : i + 1], z)
        edges.append(_edge(traced, chunk))
        _require_affine_up_to(edges[-1], network, traced.images, z)
    return torch.stack(edges)


def _require_affine_up_to(edge: Tensor, network: nn.Module, image: Tensor, z: Tensor) -> None:
    """Steps of nearly the edge's distance, along the gradient and at random, move the logits as it says."""
    if not z.requires_grad or not float(edge) > 0:
        return
    generator = torch.Generator().manual_seed(0)
    coefficients = torch.randn(z.shape, generator=generator, dtype=torch.float64).to(z)
    (slope,) = torch.autograd.grad(z, image, coefficients, retain_graph=True, materialize_grads=True)
    random = torch.randn(slope.shape, generator=generator, dtype=torch.float64).to(slope)
    directions = torch.cat([slope, -slope, random]).flatten(1)
    directions = directions / _lengths(directions.T).clamp_min(torch.finfo(z.dtype).tiny)[:, None]
    length = float(edge)
    if not math.isfinite(length):
        length = 1.0 + float(torch.linalg.vector_norm(image.detach()))
    steps = torch.cat([share * length * directions for share in STEPS]).unflatten(1, image.shape[1:])
    with torch.no_grad():
        there = checked_logits(network, image + steps)
        moved = ((there - z) * coefficients).sum(dim=1)
        predicted = (steps * slope).flatten(1).sum(dim=1)
        size = float(torch.cat([there, z]).abs().max() * coefficients.abs().sum())
        tolerance = 1e5 * torch.finfo(z.dtype).eps * size + 1e-6 * float(predicted.abs().max())
    off = float((moved - predicted).abs().max())
    if not off <= tolerance:
        raise NotPiecewiseLinearError(
            f"the network is not affine as far as its nearest known bend, {float(edge):.3g} away: the logits "
            f"move otherwise than their gradient says, by {off:.1e}; is a value computed where the trace "
            "cannot see it, as in another thread or in C++?"
        )


def _edge(traced: Trace, chunk: int) -> Tensor:
    """min |h|/‖∇h‖₂ of one image, infinite if nothing bends."""
    if traced.dtypes != {torch.float64}:
        inside = ", ".join(sorted(str(dtype) for dtype in traced.dtypes - {torch.float64}))
        raise InputError(
            f"the network computes in {inside} inside, too coarse for a certificate; call .double()"
        )
    bends = [bend for bend in traced.bends if bend.units.heights.numel()]
    nearest = torch.full((), math.inf, dtype=torch.float64, device=traced.images.device)
    if not bends:
        return nearest
    heights = torch.cat([bend.units.heights for bend in bends]).abs()
    pixels = traced.images.numel()
    exact = pixels <= DIRECTIONS
    if exact:
        directions = torch.eye(pixels, dtype=torch.float64)
    else:
        generator = torch.Generator().manual_seed(0)
        directions = torch.randn(DIRECTIONS, pixels, generator=generator, dtype=torch.float64)
        directions /= math.sqrt(DIRECTIONS)
    directions = directions.to(traced.images).view(-1, *traced.images.shape)
    distance = _distance(heights, _slopes(traced, bends, directions, chunk))
    if exact:
        return torch.minimum(distance.min(), nearest)
    starts = [0]
    for bend in bends:
        starts.append(starts[-1] + bend.units.heights.numel())
    for unit in (distance / SHORT).argsort():
        if distance[unit] / SHORT >= nearest:
            break
        place = next(i for i, start in enumerate(starts[1:]) if unit < start)
        alone = torch.zeros_like(bends[place].units.heights)
        alone[unit - starts[place]] = 1.0
        slope = _lengths(gradient(traced, [(bends[place], alone)]).flatten()[:, None])[0]
        nearest = torch.minimum(nearest, _distance(heights[unit], slope))
    return nearest


def _distance(height: Tensor, slope: Tensor) -> Tensor:
    return torch.where(slope > 0, height / slope, torch.inf)


def _slopes(traced: Trace, bends: list[Bend], directions: Tensor, chunk: int) -> Tensor:
    """(Σ_t (∇h · t)²)^½ over the directions t, of each unit: (M,)."""
    parts = [_lengths(torch.cat(along(traced, bends, part), dim=1)) for part in directions.split(chunk)]
    return _lengths(torch.stack(parts))


def _lengths(changes: Tensor) -> Tensor:
    """‖·‖₂ of each column, without over- or underflow of a square: a length of zero says "never switches"."""
    _, exponent = torch.frexp(changes.abs().amax(dim=0))
    half = exponent.div(2, rounding_mode="trunc")  # a power of two at once may itself overflow
    scaled = torch.ldexp(torch.ldexp(changes, -half), half - exponent)
    return torch.ldexp(torch.ldexp(torch.linalg.vector_norm(scaled, dim=0), half), exponent - half)
