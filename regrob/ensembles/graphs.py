"""CUDA: a step recorded once and replayed without launching its kernels one by one; and full float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

WARM_UPS = 3
"""Steps before the recording, in which libraries choose their algorithms and sizes get cached."""


def captured(step: Callable[[], object], changed: Sequence[Tensor]) -> Callable[[], object]:
    """The step as a CUDA graph; on any other device, the step itself.

    A graph can hold only what stays on the device: a step must not copy from or to the host,
    must not ask for a value, and must read and write at fixed addresses.

    Args:
        step: takes no arguments; reads and writes tensors that outlive it.
        changed: every tensor that the step writes and that the caller goes on using, at least
            one. They are as before when this function returns, on the device of the first.
    """
    device = changed[0].device
    if device.type != "cuda":
        return step
    with torch.cuda.device(device), torch.no_grad():
        before = [value.clone() for value in changed]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):  # waits for the device and frees what the warm-up has cached
            step()
        for value, kept in zip(changed, before, strict=True):
            value.copy_(kept)
    return graph.replay


def exact_float32() -> None:
    """Have CUDA multiply and convolve in full float32, by algorithms that give the same bits each time.

    By default torch convolves in TF32, which keeps 10 of a factor's 23 bits: a derivative then
    agrees with the closed forms to three digits only.
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    if hasattr(cudnn, "conv"):  # torch from 2.9 on
        cudnn.conv.fp32_precision = "ieee"
        matmul.fp32_precision = "ieee"
    else:
        cudnn.allow_tf32 = False
        matmul.allow_tf32 = False
    cudnn.benchmark = False
    cudnn.deterministic = True
