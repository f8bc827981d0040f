"""What a reader brings, made ready: a network in eval mode that returns logits, and images in its dtype."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from regrob.checks import check_box, check_labels, check_logits
from regrob.errors import InputError, RegrobError
from regrob.examination.image_files import LabelledImages
from regrob.examination.network_file import LogitsOf, as_module


class ReadyNetwork(NamedTuple):
    """A network, and images that it can read.

    Attributes:
        network: a copy, in eval mode, in float32 or float64.
        images: (N, …), in its dtype and on its device.
        labels: (N,) int64; the predicted classes where none were given.
        box: range of a pixel; None for none.
        labelled: whether labels were given.
    """

    network: nn.Module
    images: Tensor
    labels: Tensor
    box: tuple[float, float] | None
    labelled: bool


def ready(
    network: Any, data: LabelledImages, box: tuple[float, float] | str | None, notices: list[str]
) -> ReadyNetwork:
    """What `examine` and the command `certify` look at.

    Args:
        network: a module or a function of images.
        data: the images.
        box: "auto": [0, 1] if all pixels lie in it, else none.
        notices: what a reader should know of the changes that were made is added.

    Raises:
        InputError: images, labels or logits that do not fit together; a pixel outside the box.

    >>> data = LabelledImages(torch.rand(2, 3), None, ("a", "b"), (), "chance")
    >>> notices: list[str] = []
    >>> ready(nn.Linear(3, 2).half(), data, "auto", notices).box
    (0.0, 1.0)
    >>> len(notices)  # half precision, training mode, no labels
    3
    """
    model = _in_eval_mode(network, notices)
    x = _like(model, data.images)
    model = _reduced(model, x[:1], notices)
    labelled, y = _labels(model, x, data.labels)
    if not labelled:
        notices.append("no labels were given: the predicted classes stand for them")
    return ReadyNetwork(model, x, y, _box(x, box, notices), labelled)


def _in_eval_mode(network: Any, notices: list[str]) -> nn.Module:
    """A copy in eval mode that returns logits, in float32 or float64."""
    if not isinstance(network, nn.Module):
        return as_module(network).eval()
    try:
        model = copy.deepcopy(network)
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"the network cannot be copied: {error}; pass one built anew from its state dict"
        ) from error
    dtypes = {p.dtype for p in [*model.parameters(), *model.buffers()] if p.is_floating_point()}
    if len(dtypes) > 1 or dtypes & {torch.float16, torch.bfloat16}:
        notices.append(f"the network's {', '.join(sorted(map(str, dtypes)))} was examined as torch.float32")
        model = model.float()
    if any(module.training for module in model.modules()):
        notices.append("the network was in training mode; it was examined in eval mode")
    return model.eval()


def _like(model: nn.Module, images: Tensor) -> Tensor:
    """The images in the network's dtype, on its device; a dtype of their own is kept without parameters."""
    like = next((p for p in [*model.parameters(), *model.buffers()] if p.is_floating_point()), None)
    images = images.detach().clone()
    if like is None:
        return images if images.dtype in (torch.float32, torch.float64) else images.float()
    return images.to(device=like.device, dtype=like.dtype)


def _output(model: nn.Module, x: Tensor) -> Any:
    """What the network returns; InputError in place of whatever it raises."""
    try:
        with torch.no_grad():
            return model(x)
    except (torch.OutOfMemoryError, RegrobError):
        raise
    except Exception as error:
        kind = f"{type(error).__name__}: {error}"
        raise InputError(
            f"the network fails on images of shape {tuple(x.shape)}, {x.dtype}: {kind}"
        ) from error


def _reduced(model: nn.Module, x: Tensor, notices: list[str]) -> nn.Module:
    """The model itself if it returns a tensor, else what takes the logits out of its output."""
    output = _output(model, x)
    if isinstance(output, Tensor):
        return model
    notices.append(f"the network returns a {type(output).__name__}, of which the logits were examined")
    return LogitsOf(model)


def logits_of(model: nn.Module, x: Tensor) -> Tensor:
    """The logits of a few images.

    Raises:
        InputError: the network fails on them, or returns no logits.
    """
    z: Tensor = _output(model, x)
    check_logits(z, x)
    if not bool(torch.isfinite(z).all()):
        raise InputError("the logits hold NaN or infinity; did the weights diverge in training?")
    return z


def _labels(model: nn.Module, x: Tensor, labels: Tensor | None) -> tuple[bool, Tensor]:
    classes = logits_of(model, x[:1])
    if labels is not None:
        labels = labels.to(x.device)
        check_labels(labels, classes.expand(len(labels), -1))
        return True, labels
    return False, torch.cat([logits_of(model, part).argmax(dim=1) for part in x.split(64)])


def _box(x: Tensor, box: tuple[float, float] | str | None, notices: list[str]) -> tuple[float, float] | None:
    if box == "auto":
        low, high = float(x.min()), float(x.max())
        if low >= 0 and high <= 1:
            return (0.0, 1.0)
        notices.append(f"pixels run from {low:.3g} to {high:.3g}, not within [0, 1]: all ran without a box")
        return None
    if isinstance(box, str):
        raise InputError(f"box must be (low, high) with low < high, None or 'auto', got {box!r}")
    check_box(box, x)
    return box
