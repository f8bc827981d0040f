"""Small kernels of stacked layers: pure functions of tensors, some faster than torch's own on the CPU."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

FEW_CHANNELS = 4
"""Below this many input channels oneDNN is slow; its transposed convolution 40 times at one channel."""

AT_ONCE = 64
"""Images convolved together: what 64 of LeNet-5's become takes a few megabytes, which a cache still holds."""

FOURIER = range(5, 9)
"""Sizes of a kernel for which NNPACK multiplies Fourier transforms, in half of oneDNN's time."""

WORTH_NNPACK = 16
"""Images from which on NNPACK's transforms pay."""

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


def convolve(x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
    """The convolution of x (B, C, H, W) of stride 1 without padding, the fastest way on its device."""
    if x.device.type != "cpu":
        return functional.conv2d(x, weight, groups=groups)
    if weight.shape[1] < FEW_CHANNELS:
        return _in_blocks(x, lambda block: _by_product(block, weight))
    if _fourier_serves(weight):
        return _in_blocks(x, lambda block: _by_fourier(block, weight, 0))
    x, weight = channels_innermost(x[None])[0], channels_innermost(weight[None])[0]
    return functional.conv2d(x, weight)


def convolve_transposed(u: Tensor, weight: Tensor, inside: Sequence[int], groups: int = 1) -> Tensor:
    """The transpose of `convolve`: u (B, outputs, H', W') → (B, *inside)."""
    if u.device.type == "cpu":
        if weight.shape[1] < FEW_CHANNELS:
            return _in_blocks(u, lambda block: fold(block, weight, inside))
        if _fourier_serves(weight):
            turned = weight.flip(2, 3).transpose(0, 1).contiguous()
            return _in_blocks(u, lambda block: _by_fourier(block, turned, weight.shape[-1] - 1))
        u, weight = channels_innermost(u[None])[0], channels_innermost(weight[None])[0]
    like = u.new_empty(u.shape[0], inside[0] * groups, *inside[1:])
    return convolution_backward(u, like, weight, groups, wanted=0)


def _in_blocks(x: Tensor, convolved: Callable[[Tensor], Tensor]) -> Tensor:
    blocks = [convolved(block) for block in x.split(AT_ONCE)]
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks)


def _by_product(x: Tensor, weight: Tensor) -> Tensor:
    """One product with the k·k shifted images; stored with the channels innermost, for the pooling."""
    shifted = x.unfold(2, weight.shape[2], 1).unfold(3, weight.shape[3], 1)  # (B, C, H', W', k, k)
    columns = shifted.permute(0, 1, 4, 5, 2, 3).flatten(1, 3).flatten(2)  # (B, C·k·k, H'·W')
    convolved = columns.mT @ weight.flatten(1).T
    return split(convolved, 1, shifted.shape[2:4]).permute(0, 3, 1, 2)


def _fourier_serves(weight: Tensor) -> bool:
    square = weight.shape[2] == weight.shape[3] and weight.shape[2] in FOURIER
    return square and weight.dtype == torch.float32 and torch.backends.nnpack.is_available()


def _by_fourier(x: Tensor, weight: Tensor, padding: int) -> Tensor:
    """NNPACK's convolution, which torch picks by itself only where oneDNN is switched off for all threads.

    For fewer images than `WORTH_NNPACK` torch would take the products of its plain convolution.
    """
    pad, stride, size = [padding, padding], [1, 1], list(weight.shape[2:])
    convolved: Tensor
    if len(x) >= WORTH_NNPACK:
        convolved = torch.ops.aten._nnpack_spatial_convolution(x, weight, None, pad, stride)
    else:
        convolved = torch.ops.aten.thnn_conv2d(x, weight, size, None, stride, pad)
    return convolved


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


def max_pool(
    h: Tensor, kernel: int | tuple[int, int], stride: int | tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Max-pooling of h (B, C, H, W), and the positions of the first maxima.

    On the CPU with the channels innermost, where torch is ten times as fast.
    """
    if h.device.type == "cpu":
        h = h.contiguous(memory_format=torch.channels_last)
    values, index = functional.max_pool2d(h, kernel, stride, return_indices=True)
    return values.contiguous(), index.contiguous()
