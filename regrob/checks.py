"""The shapes of images, logits and labels, as types; and the checks that public functions make on them.

Axes: N images, n input coordinates (an image is flattened), K classes; `*batch` stands for
any leading axes, usually (N,), the same ones in all arguments of a function.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from numbers import Real
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from regrob.errors import InputError

if TYPE_CHECKING or find_spec("jaxtyping"):
    from jaxtyping import Bool, Float, Int64

    Images = Float[Tensor, "N *pixels"]
    Image = Float[Tensor, "*pixels"]
    Scalar = Float[Tensor, ""]
    PerImage = Float[Tensor, " N"]
    ImageLabels = Int64[Tensor, " N"]
    ImageMask = Bool[Tensor, " N"]
    ImageLogits = Float[Tensor, "N K"]

    Jacobian = Float[Tensor, "*batch n K"]
    Logits = Float[Tensor, "*batch K"]
    Labels = Int64[Tensor, "*batch"]
    PerExample = Float[Tensor, "*batch"]
    Broadcast = Float[Tensor, "*#batch"]
    Mask = Bool[Tensor, "*batch"]
    InputVector = Float[Tensor, "*batch n"]
    InputMatrix = Float[Tensor, "*batch n n"]
    ClassMatrix = Float[Tensor, "*batch K K"]
else:  # a machine that has torch alone
    Images = Image = Scalar = PerImage = ImageLabels = ImageMask = ImageLogits = Tensor
    Jacobian = Logits = Labels = PerExample = Broadcast = Mask = Tensor
    InputVector = InputMatrix = ClassMatrix = Tensor


def check_dense(name: str, values: Tensor) -> None:
    """Raise InputError for a tensor of another layout, sparse say, for which torch lacks many operations."""
    if values.layout != torch.strided:
        raise InputError(f"{name} must be a dense tensor, got {values.layout}: call .to_dense() first")


def check_pixels(images: Tensor) -> None:
    """Raise InputError unless `images` is a dense floating-point tensor."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise InputError(f"images must be a floating-point tensor, got {kind}: call .float() first")
    check_dense("images", images)


def check_images(images: Tensor) -> None:
    """Raise InputError unless `images` is a non-empty batch of finite floating-point images."""
    check_pixels(images)
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


def check_gradient(z: Tensor) -> None:
    """Raise InputError unless autograd can differentiate the logits z."""
    if not z.requires_grad:
        raise InputError("the logits carry no gradient; is there a no_grad(), detach() or argmax inside?")


def check_labels(y: Tensor, z: Tensor) -> None:
    """Raise InputError unless y (…) int64 holds one class 0 … K-1 for each row of z (…, K), K ≥ 2."""
    if not isinstance(z, Tensor) or not z.is_floating_point() or z.ndim < 1 or z.shape[-1] < 2:
        got = f"{z.dtype}, {tuple(z.shape)}" if isinstance(z, Tensor) else type(z).__name__
        raise InputError(f"logits must be a floating-point tensor (…, K) with K ≥ 2, got {got}")
    check_dense("logits", z)
    if not isinstance(y, Tensor) or y.dtype != torch.int64:
        kind = y.dtype if isinstance(y, Tensor) else type(y).__name__
        raise InputError(f"labels must be an int64 tensor, got {kind}: call .long() first")
    check_dense("labels", y)
    if y.shape != z.shape[:-1]:
        raise InputError(f"labels must have shape {tuple(z.shape[:-1])}, got {tuple(y.shape)}")
    classes = z.shape[-1]
    outside = (y < 0) | (y >= classes)
    if bool(outside.any()):
        label = int(y[outside][0])
        raise InputError(f"label {label} is outside 0 … {classes - 1}: the network has {classes} classes")


def check_map(V: Tensor, z: Tensor) -> None:
    """Raise InputError unless V is (…, n, K) and z is (…, K): one dtype, equal axes, K ≥ 2."""
    if V.ndim < 2 or V.shape[:-2] + V.shape[-1:] != z.shape or z.shape[-1] < 2:
        raise InputError(
            "V must have shape (…, n, K) and z shape (…, K) with K ≥ 2, "
            f"got {tuple(V.shape)} and {tuple(z.shape)}"
        )
    if V.dtype != z.dtype or not V.is_floating_point():
        raise InputError(f"V and z must share one floating-point dtype, got {V.dtype} and {z.dtype}")


def require_binary(V: Tensor) -> None:
    """Raise InputError unless there are exactly two classes."""
    if V.shape[-1] != 2:
        raise InputError(f"this form holds for K = 2 classes only, got K = {V.shape[-1]}")


def check_size(name: str, value: float) -> None:
    """Raise InputError unless a radius or step size is finite and not negative."""
    if not 0.0 <= value < math.inf:
        raise InputError(f"{name} must be finite and at least 0, got {value}")


def check_norm(norm: float) -> None:
    """Raise InputError unless p of an ℓ_p norm is from 1 to infinity."""
    if not isinstance(norm, Real) or not norm >= 1:
        raise InputError(f"norm must be the p of an ℓ_p norm, a number from 1 to infinity, got {norm!r}")


def check_budget(seconds: float) -> None:
    """Raise InputError unless a time is a number of seconds, at least 0; it may be infinite."""
    if not isinstance(seconds, Real) or not seconds >= 0:
        raise InputError(f"seconds must be a number, at least 0, got {seconds!r}")


def check_tolerance(tolerance: float) -> None:
    """Raise InputError unless a relative tolerance is at least 0 and below 1."""
    if not isinstance(tolerance, Real) or not 0 <= tolerance < 1:
        raise InputError(f"tolerance must be in [0, 1), got {tolerance!r}")


def check_box(box: tuple[float, float] | None, images: Tensor) -> None:
    """Raise InputError unless the box is None, or two numbers low < high with all pixels between them."""
    if box is None:
        return
    bounds = tuple(box) if isinstance(box, tuple | list) else ()
    largest = torch.finfo(images.dtype).max
    if len(bounds) != 2 or not all(isinstance(bound, Real) and abs(bound) <= largest for bound in bounds):
        raise InputError(
            f"box must be two finite numbers (low, high), the range of every pixel, got {box!r}; "
            "None sets no bounds"
        )
    low, high = bounds
    if not low < high:
        raise InputError(f"box must be (low, high) with low < high, got {box!r}")
    outside = ((images < low) | (images > high)).flatten(1).any(dim=1)
    if bool(outside.any()):
        first = int(outside.nonzero()[0])
        pixels = images[first].detach().double()
        worst = float(pixels.min()) if float(pixels.min()) < low else float(pixels.max())
        raise InputError(
            f"image {first} has a pixel of {worst:.9g}, outside the box ({low:g}, {high:g}): give the range "
            "of the pixels, or None for no bounds, or put them into it with images.clamp(low, high)"
        )


def check_count(name: str, value: int) -> None:
    """Raise InputError unless a number of steps or restarts is at least one."""
    if value < 1:
        raise InputError(f"{name} must be at least 1, got {value}")


class Offender(NamedTuple):
    """A refused example: its position, () if there is no batch axis, and what an error calls it."""

    position: tuple[int, ...]
    name: str


def first_offender(bad: Mask) -> Offender | None:
    """The first example that is True in `bad`; None if there is none.

    >>> first_offender(torch.tensor([False, True, True]))
    Offender(position=(1,), name='example 1')
    """
    if not bool(bad.any()):
        return None
    position = tuple(int(i) for i in bad.nonzero()[0])
    return Offender(position, f"example {', '.join(map(str, position))}" if position else "the example")
