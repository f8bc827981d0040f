"""Kinks, where several affine maps meet; and a watch on the modules that bend."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob.affine.local_map import ACTIVATIONS, checked_logits
from regrob.checks import ImageMask, Images, check_images

BENDING = (*ACTIVATIONS, nn.MaxPool2d)
"""The modules at which a network's affine pieces meet."""

Watcher = Callable[[nn.Module, Tensor], None]


@contextmanager
def watch_bends(network: nn.Module, before: Watcher, after: Watcher | None = None) -> Iterator[None]:
    """While open, each bending module that runs is shown: before(module, input), after(module, output).

    >>> relu = nn.ReLU()
    >>> with watch_bends(relu, lambda module, h: print(h.tolist())):
    ...     y = relu(torch.tensor([2.0, -1.0]))
    [2.0, -1.0]
    """
    hooks = []
    for module in network.modules():
        if isinstance(module, BENDING):
            hooks.append(module.register_forward_pre_hook(lambda module, inputs: before(module, *inputs)))
            if after is not None:
                hooks.append(module.register_forward_hook(lambda module, _, output: after(module, output)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def kinks(network: nn.Module, images: Images) -> ImageMask:
    """Which images sit on a kink, where several linear maps meet.

    A pre-activation of exactly zero, or a max-pool window whose largest value stands twice
    (unless it is the zero of the ReLU just before, where either choice gives the same map).
    Sees the modules ReLU, LeakyReLU, PReLU and MaxPool2d, and no bare functions.

    Raises:
        InputError: images that are no finite batch, or that the network cannot read.

    >>> kinks(nn.ReLU(), torch.tensor([[1.0, -1.0], [1.0, 0.0]]))
    tensor([False,  True])
    """
    check_images(images)
    on_kink = torch.zeros(images.shape[0], dtype=torch.bool, device=images.device)
    rectified: Tensor | None = None  # what the last ReLU returned

    def before(module: nn.Module, h: Tensor) -> None:
        nonlocal on_kink
        if isinstance(module, nn.MaxPool2d):
            touching = _tied_windows(module, h, zeros_matter=h is not rectified)
        else:
            touching = h == 0
        on_kink |= touching.flatten(1).any(dim=1)

    def after(module: nn.Module, output: Tensor) -> None:
        nonlocal rectified
        if isinstance(module, nn.ReLU):
            rectified = output

    with torch.no_grad(), watch_bends(network, before, after):
        checked_logits(network, images)
    return on_kink


def _tied_windows(pool: nn.MaxPool2d, h: Tensor, *, zeros_matter: bool) -> Tensor:
    """(N, C, L) bool: windows in which the maximum is reached more than once and it matters."""
    (pad_h, pad_w), (stride_h, stride_w) = _pair(pool.padding), _pair(pool.stride)
    extra_h, extra_w = (stride_h - 1, stride_w - 1) if pool.ceil_mode else (0, 0)
    padding = (pad_w, pad_w + extra_w, pad_h, pad_h + extra_h)
    padded = functional.pad(h, padding, value=-math.inf)
    windows = functional.unfold(
        padded.flatten(0, 1)[:, None], pool.kernel_size, dilation=pool.dilation, stride=pool.stride
    )  # (N·C, window, L)
    largest = windows.amax(dim=1)
    tied = (windows == largest[:, None]).sum(dim=1) > 1
    tied &= largest > (-math.inf if zeros_matter else 0.0)
    by_image: Tensor = tied.unflatten(0, h.shape[:2])
    return by_image


def _pair(size: int | tuple[int, ...]) -> tuple[int, ...]:
    return (size, size) if isinstance(size, int) else size
