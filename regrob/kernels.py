"""Small kernels of stacked layers: pure functions of tensors, some faster than torch's own on the CPU."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

WORTH_THIRDS = 96
"""From this width on, three products of a third's width are faster than one of the whole."""


def split(x: Tensor, axis: int, sizes: Sequence[int]) -> Tensor:
    """One axis taken apart into several."""
    return torch.unflatten(x, axis, sizes)


def symmetric_product(X: Tensor) -> Tensor:
    """XᵀX for X (M, a, b), by thirds of b: what lies above the diagonal blocks is mirrored."""
    b = X.shape[-1]
    edges = [0, b // 3, 2 * b // 3, b] if b >= WORTH_THIRDS else [0, b]
    A = X.new_empty(len(X), b, b)
    for start, end in itertools.pairwise(edges):
        below = X[..., start:end].mT @ X[..., :end]
        A[:, start:end, :end] = below
        A[:, :start, start:end] = below[..., :start].mT
    return A


def channels_innermost(x: Tensor) -> Tensor:
    """(M, B, C, H, W), stored as (M, B, H, W, C): oneDNN's convolutions are up to twice as fast so."""
    return x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)


def fold(u: Tensor, weight: Tensor, inside: Sequence[int]) -> Tensor:
    """The transposed convolution of u (B, outputs, H', W') as one product and k·k shifted sums."""
    height, width = u.shape[-2:]
    product = weight.flatten(1).mT @ u.flatten(2)  # (B, inputs·k·k, H'·W')
    taps = product.view(len(u), *weight.shape[1:], height, width)
    x = u.new_zeros(u.shape[0], *inside)
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            x[:, :, i : i + height, j : j + width] += taps[:, :, i, j]
    return x


def convolution_backward(u: Tensor, x: Tensor, weight: Tensor, groups: int, *, wanted: int) -> Tensor:
    """The transposed convolution of u (wanted=0), or the weight gradient Σ x ⊗ u (wanted=1)."""
    mask = (wanted == 0, wanted == 1, False)
    gradients = torch.ops.aten.convolution_backward(
        u, x, weight, None, (1, 1), (0, 0), (1, 1), False, (0, 0), groups, mask
    )
    gradient: Tensor = gradients[wanted]
    return gradient


def halve(h: Tensor) -> tuple[Tensor, Tensor]:
    """Max-pooling by 2×2 and the positions of the first maxima, four times as fast as torch's on the CPU.

    Args:
        h: (B, C, H, W).
    """
    full = h.shape[-1]  # a row of the image, of which an odd last column is left out
    height, width = h.shape[-2] // 2 * 2, full // 2 * 2
    h = h[..., :height, :width]
    a, b, c, d = (h[..., i::2, j::2] for i in (0, 1) for j in (0, 1))
    top, bottom = torch.maximum(a, b), torch.maximum(c, d)
    within = torch.where(bottom > top, (d > c).to(torch.int64) + full, (b > a).to(torch.int64))
    rows = torch.arange(0, height, 2, device=h.device)[:, None] * full
    return torch.maximum(top, bottom), within + (rows + torch.arange(0, width, 2, device=h.device))
