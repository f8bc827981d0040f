"""Kinks: where a unit is about to switch, and several affine maps meet."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob.affine.local_map import ACTIVATIONS, _logits
from regrob.checks import check_images


def kinks(network: nn.Module, images: Tensor) -> Tensor:
    """Which examples sit on a kink, where several linear maps meet: (N,) bool.

    A pre-activation of exactly zero, or a max-pool window whose largest value stands twice
    (unless it is the zero of the ReLU just before, where either choice gives the same map).
    Sees the modules ReLU, LeakyReLU, PReLU and MaxPool2d, and no bare functions.
    """
    check_images(images)
    found = torch.zeros(images.shape[0], dtype=torch.bool, device=images.device)
    rectified: Tensor | None = None  # what the last ReLU returned

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal found
        (h,) = inputs
        if isinstance(module, ACTIVATIONS):
            found |= (h == 0).flatten(1).any(dim=1)
        elif isinstance(module, nn.MaxPool2d):
            found |= _tied_windows(module, h, zeros_matter=h is not rectified).flatten(1).any(dim=1)

    def after(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal rectified
        if isinstance(module, nn.ReLU):
            rectified = output

    hooks = [m.register_forward_pre_hook(before) for m in network.modules()]
    hooks += [m.register_forward_hook(after) for m in network.modules()]
    try:
        with torch.no_grad():
            _logits(network, images)
    finally:
        for hook in hooks:
            hook.remove()
    return found


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
