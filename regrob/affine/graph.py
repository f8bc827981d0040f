"""The tensor operations that a network really runs, and which of them bring kinks."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

# fmt: off
KINKED = frozenset([
    "relu", "relu_", "leaky_relu", "leaky_relu_", "_prelu_kernel", "rrelu", "hardtanh", "hardtanh_",
    "threshold", "threshold_", "clamp", "clamp_", "clamp_min", "clamp_min_", "clamp_max",
    "clamp_max_", "max_pool2d", "max_pool2d_with_indices", "max_pool3d_with_indices",
    "adaptive_max_pool2d", "fractional_max_pool2d", "max", "amax", "min", "amin", "maximum",
    "minimum", "abs", "abs_", "sgn", "sign", "where", "sort", "topk", "hardshrink", "softshrink",
    "hardswish", "hardsigmoid",
])
# fmt: on
"""Names of the tensor operations that bring kinks."""


class KinkedOperations(TorchDispatchMode):
    """Notes in `names`, in their order, the kinked tensor operations that run while it is open."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and note it."""
        name = func.overloadpacket.__name__
        if name in KINKED:
            self.names.append(name)
        return func(*args, **(kwargs or {}))
