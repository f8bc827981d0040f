"""What every public function asks of images, logits and labels."""

from __future__ import annotations

import torch
from torch import Tensor

from regrob.errors import InputError


def check_images(images: Tensor) -> None:
    """Raise InputError unless `images` is a non-empty batch of finite floating-point images."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise InputError(f"images must be a floating-point tensor, got {kind}: call .float() first")
    if images.ndim < 2 or images.shape[0] == 0:
        raise InputError(
            f"images must have shape (N, …) with N ≥ 1, got {tuple(images.shape)}: "
            "add a batch axis with images[None], or check that the batch is not empty"
        )
    finite = torch.isfinite(images).flatten(1).all(dim=1)
    if not bool(finite.all()):
        first = int((~finite).nonzero()[0])
        raise InputError(f"image {first} holds NaN or infinity; every pixel must be finite")


def check_logits(z: Tensor, images: Tensor) -> None:
    """Raise InputError unless z is (N, K) with K ≥ 2 for the N images given."""
    wanted = f"the network must return logits of shape ({images.shape[0]}, K) with K ≥ 2, "
    if not isinstance(z, Tensor):
        raise InputError(f"{wanted}got a {type(z).__name__}")
    if z.ndim != 2 or z.shape[0] != images.shape[0] or z.shape[1] < 2:
        raise InputError(f"{wanted}got {tuple(z.shape)}; for one logit use two: stack (v·x, 0)")


def check_labels(y: Tensor, z: Tensor) -> None:
    """Raise InputError unless y holds one integer class 0 … K-1 for each row of z.

    Args:
        y: (…), int64.
        z: (…, K), floating point, K ≥ 2.
    """
    if not isinstance(z, Tensor) or not z.is_floating_point() or z.ndim < 1 or z.shape[-1] < 2:
        got = f"{z.dtype}, {tuple(z.shape)}" if isinstance(z, Tensor) else type(z).__name__
        raise InputError(f"logits must be a floating-point tensor (…, K) with K ≥ 2, got {got}")
    if not isinstance(y, Tensor) or y.dtype != torch.int64:
        kind = y.dtype if isinstance(y, Tensor) else type(y).__name__
        raise InputError(f"labels must be an int64 tensor, got {kind}: call .long() first")
    if y.shape != z.shape[:-1]:
        raise InputError(f"labels must have shape {tuple(z.shape[:-1])}, got {tuple(y.shape)}")
    classes = z.shape[-1]
    outside = (y < 0) | (y >= classes)
    if bool(outside.any()):
        first = int(y[outside][0])
        raise InputError(f"label {first} is outside 0 … {classes - 1}: the network has {classes} classes")


def first_offender(bad: Tensor) -> tuple[int, ...]:
    """Index of the first True; () if there is only one example and no axis."""
    return tuple(int(i) for i in bad.nonzero()[0])


def name_of_example(where: tuple[int, ...]) -> str:
    """How an error names the example at this index."""
    return "the example" if not where else f"example {', '.join(map(str, where))}"
