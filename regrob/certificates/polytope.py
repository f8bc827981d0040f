"""A certificate for the network itself: the margin, as far as the polytope's edge.

Beyond that edge nothing is known from V and z alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob.affine.graph import KinkedOperations
from regrob.affine.kinks import watch_bends
from regrob.affine.local_map import local_map
from regrob.checks import ImageLabels, Images, PerImage, check_images, check_labels
from regrob.errors import InputError
from regrob.theory import probability
from regrob.theory.margin import margin_l2


def certified_radius(model: nn.Module, images: Images, labels: ImageLabels) -> PerImage:
    """min(d, dist(x, ∂Q(x))): no perturbation shorter than this fools the network.

    Zero where the example is misclassified or sits on a kink. Both distances are Euclidean
    and ignore the box of pixels, which can only move the nearest mistake further away.

    Raises:
        InputError, NotPiecewiseLinearError: as `local_map` and `edge_distance`.

    >>> certified_radius(nn.ReLU(), torch.tensor([[1.0, 5.0]]), torch.tensor([1]))  # margin √8, edge 1
    tensor([1.])
    """
    V, z = local_map(model, images)
    check_labels(labels, z)
    correct = probability.correctly_classified(z, labels)
    certified = torch.zeros_like(z[:, 0])
    if bool(correct.any()):
        margin = margin_l2(V[correct], z[correct], labels[correct])
        certified[correct] = torch.minimum(margin, edge_distance(model, images[correct]))
    return certified


def edge_distance(model: nn.Module, images: Images, *, chunk: int = 64) -> PerImage:
    """dist(x, ∂Q(x)) = min |h|/‖∇h‖₂ over the units h of the network, the same for pools.

    A max-pool switches where an element of a window overtakes the largest. A unit that no
    input moves within the polytope never switches. Zero on a kink. Costs min(M, n)/chunk passes
    over `chunk` copies of the batch, M the number of units.

    Args:
        model: a network of modules, in eval mode: ReLU, LeakyReLU, PReLU and MaxPool2d are
            the only kinks it may have, and each as a module.
        chunk: units, or pixels, a pass.

    Raises:
        InputError: a kink that is not such a module, or one module called more than once.

    >>> edge_distance(nn.ReLU(), torch.tensor([[1.0, 5.0]]))
    tensor([1.])
    """
    check_images(images)
    count = _require_modules(model, images[:1])
    infinite = torch.full_like(images.flatten(1)[:, 0], math.inf)
    if count == 0:
        return infinite
    with torch.enable_grad():
        x = images.detach().requires_grad_(True)
        height = _heights(model, x)  # (N, M)
        square = _squared_slopes(height, x, chunk)
    height = height.detach()
    distance = torch.where(square > 0, height.abs() / square.sqrt(), torch.inf)
    return torch.minimum(distance.amin(dim=1), infinite)


def _squared_slopes(height: Tensor, x: Tensor, chunk: int) -> Tensor:
    """‖∂h/∂x‖₂² of each unit, (N, M): unit by unit, or pixel by pixel if there are fewer pixels."""

    def batched(count: int, shape: torch.Size) -> Iterator[tuple[slice, Tensor]]:
        for first in range(0, count, chunk):
            part = slice(first, min(first + chunk, count))
            axes = torch.zeros(part.stop - first, count, dtype=x.dtype, device=x.device)
            axes[:, part] = torch.eye(part.stop - first).to(axes)
            yield part, axes.reshape(-1, 1, *shape[1:]).expand(-1, *shape)

    square = torch.zeros_like(height.detach())
    if height.shape[1] <= x[0].numel():
        for part, units in batched(height.shape[1], height.shape):
            (slopes,) = torch.autograd.grad(height, x, units, retain_graph=True, is_grads_batched=True)
            square[:, part] = slopes.flatten(2).square().sum(dim=2).T
        return square.detach()
    # Two reverse passes make a forward one: u ↦ Jᵀu is linear, and its derivative along t is Jt.
    u = torch.zeros_like(height).requires_grad_(True)
    (pulled,) = torch.autograd.grad(height, x, u, create_graph=True)
    for _, pixels in batched(x[0].numel(), x.shape):
        (along,) = torch.autograd.grad(pulled, u, pixels, retain_graph=True, is_grads_batched=True)
        square += along.square().sum(dim=0)
    return square.detach()


def _heights(model: nn.Module, images: Tensor) -> Tensor:
    """What must keep its sign inside Q(x): pre-activations, and gaps within pool windows: (N, M)."""
    heights: list[Tensor] = []

    def before(module: nn.Module, h: Tensor) -> None:
        if isinstance(module, nn.MaxPool2d):
            heights.append(_window_gaps(module, h).flatten(1))
        else:
            heights.append(h.clone().flatten(1))  # a copy: the module may work in place

    with watch_bends(model, before):
        model(images)
    return torch.cat(heights, dim=1)


def _window_gaps(pool: nn.MaxPool2d, h: Tensor) -> Tensor:
    """Largest element less each element, window by window: (N, C, window, L)."""
    if pool.ceil_mode or pool.dilation not in (1, (1, 1)):
        raise InputError("edge_distance reads MaxPool2d without ceil_mode and dilation")
    size, stride, pad = (
        (v, v) if isinstance(v, int) else tuple(v) for v in (pool.kernel_size, pool.stride, pool.padding)
    )
    padded = functional.pad(h, (pad[1], pad[1], pad[0], pad[0]), value=-math.inf)
    windows = padded.unfold(2, size[0], stride[0]).unfold(3, size[1], stride[1]).flatten(4)
    largest = windows.gather(4, windows.argmax(dim=4, keepdim=True))
    return largest - windows


def _require_modules(model: nn.Module, image: Tensor) -> int:
    """Raise unless every kinked operation belongs to a module that `_heights` sees; their number."""
    seen: list[nn.Module] = []
    with torch.no_grad(), KinkedOperations() as kinked, watch_bends(model, lambda m, _: seen.append(m)):
        model(image)
    operations = ", ".join(sorted(set(kinked.names)))
    if len(kinked.names) != len(seen):
        raise InputError(
            f"the network bends at {len(kinked.names)} operations ({operations}), "
            f"but only {len(seen)} belong to ReLU, LeakyReLU, PReLU or MaxPool2d modules; build it of "
            "modules, so that no edge of its polytope is missed"
        )
    return len(seen)
