"""Layers of M networks of one architecture, held and run as one.

Each layer knows four moves; a training step with penalties needs nothing else:
`forward` an activation, `pull` a signal back towards the input (the transposed layer),
`push` a direction forward again (the linear layer without its bias), and, for layers with
weights, `accumulate` a product of the two into the momentum. Where a layer is affine only
around its input, `forward` also returns a trace of that input, which the other moves take.

Axes: member M, example N, row r, then the layer's own. A row is one direction in the
space of logits, or one in the space of inputs, that travels with its example.
"""

from __future__ import annotations

import copy
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from regrob.ensembles.kernels import (
    FEW_CHANNELS,
    channels_innermost,
    convolution_backward,
    convolve,
    convolve_transposed,
    max_pool,
    split,
    symmetric_product,
)
from regrob.errors import InputError

MOMENTUM, WEIGHT_DECAY = 0.9, 5e-4
"""Caffe's, for LeNet."""

BIAS_RATE = 2
"""How many times as fast as weights biases learn, Caffe's lr_mult."""


HOOKS = ("forward_hooks", "forward_pre_hooks", "backward_hooks", "backward_pre_hooks")
"""Where a module, and torch for all modules, keep what runs beside a module's own code."""


class LayerTrace(NamedTuple):
    """What the linear map of a layer depends on at its input.

    Attributes:
        shape: of one example's input.
        kinks: a rectifier's input, or the position of each of a pool's maxima; else None.
    """

    shape: torch.Size
    kinks: Tensor | None = None

    @property
    def crossed(self) -> Tensor:
        """The kinks of a layer that has some."""
        assert self.kinks is not None
        return self.kinks


class Layer(ABC):
    """What the ensemble asks of a layer."""

    @abstractmethod
    def forward(self, h: Tensor) -> tuple[Tensor, LayerTrace]:
        """(M, N, …) → (M, N, …), and the trace of the input."""

    @abstractmethod
    def pull(self, u: Tensor, at: LayerTrace) -> Tensor:
        """(M, N, r, outputs…) → (M, N, r, inputs…), the transposed linear map."""

    @abstractmethod
    def push(self, t: Tensor, at: LayerTrace) -> Tensor:
        """(M, N, r, inputs…) → (M, N, r, outputs…), the linear map."""

    def tensors(self) -> dict[str, Tensor]:
        """The layer's state, by name, member by member."""
        return {}

    def part(self, members: slice) -> Layer:
        """These members alone, with views of this layer's state."""
        layer = copy.copy(self)
        for name, value in self.tensors().items():
            setattr(layer, name, value[members])
        return layer


class WeightedLayer(Layer):
    """A layer with weights, biases and their momentum.

    Attributes:
        weight, bias: (M, …) stacked parameters; bias is None where there is none.
        weight_velocity, bias_velocity: Caffe's velocity, which includes the learning rate.
    """

    def __init__(self, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> None:
        self.weight = torch.stack([w.detach() for w in weights]).contiguous()
        kept = [b.detach() for b in biases if b is not None]
        self.bias = torch.stack(kept).contiguous() if kept else None
        self.weight_velocity = torch.zeros_like(self.weight)
        self.bias_velocity = torch.zeros_like(self.bias) if self.bias is not None else None

    @abstractmethod
    def accumulate(self, momentum: float, inputs: Tensor, signals: Tensor, bias_signals: Tensor) -> None:
        """v ← momentum · v + Σ inputs ⊗ signals, the gradient times the learning rate.

        Args:
            momentum: Caffe's 0.9.
            inputs: (M, N, r, inputs…).
            signals: (M, N, r, outputs…).
            bias_signals: (M, N, outputs…), what reaches the biases, to be summed over N.
        """

    @abstractmethod
    def write(self, member: int, module: nn.Module) -> None:
        """Copy one member's parameters into a module."""

    @override
    def tensors(self) -> dict[str, Tensor]:
        state = {"weight": self.weight, "weight_velocity": self.weight_velocity}
        if self.bias is not None and self.bias_velocity is not None:
            state |= {"bias": self.bias, "bias_velocity": self.bias_velocity}
        return state

    def move(self, device: torch.device) -> None:
        """Move the state to a device."""
        for name, value in self.tensors().items():
            setattr(self, name, value.to(device))

    def descend(self, decay: Tensor) -> None:
        """w ← w − v, with v ← v + decay · w first (weight decay times learning rate)."""
        for value, velocity, factor in (
            (self.weight, self.weight_velocity, 1),
            (self.bias, self.bias_velocity, BIAS_RATE),
        ):
            if value is not None and velocity is not None:
                velocity.addcmul_(value, decay, value=factor)
                value.sub_(velocity)


class StackedLinear(WeightedLayer):
    """M linear layers; weight (M, inputs, outputs), bias (M, 1, outputs)."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        biases = [None if layer.bias is None else layer.bias[None] for layer in layers]
        super().__init__([layer.weight.T for layer in layers], biases)

    @override
    def forward(self, h: Tensor) -> tuple[Tensor, LayerTrace]:
        z = torch.bmm(h, self.weight) if self.bias is None else torch.baddbmm(self.bias, h, self.weight)
        return z, LayerTrace(h.shape[2:])

    @override
    def pull(self, u: Tensor, at: LayerTrace) -> Tensor:
        return split(torch.bmm(u.flatten(1, 2), self.weight.mT), 1, u.shape[1:3])

    @override
    def push(self, t: Tensor, at: LayerTrace) -> Tensor:
        return split(torch.bmm(t.flatten(1, 2), self.weight), 1, t.shape[1:3])

    @override
    def accumulate(self, momentum: float, inputs: Tensor, signals: Tensor, bias_signals: Tensor) -> None:
        self.weight_velocity.baddbmm_(inputs.flatten(1, 2).mT, signals.flatten(1, 2), beta=momentum)
        if self.bias_velocity is not None:
            self.bias_velocity.mul_(momentum).add_(bias_signals.sum(dim=1, keepdim=True), alpha=BIAS_RATE)

    def round_trip(self, u: Tensor) -> Tensor:
        """`push` after `pull` by way of WᵀW: (M, N, r, outputs). Times u, it gives lengths of pulled rows."""
        square = symmetric_product(self.weight)
        return split(torch.bmm(u.flatten(1, 2), square), 1, u.shape[1:3])

    @override
    def write(self, member: int, module: nn.Module) -> None:
        _copy(module, self.weight[member].T, None if self.bias is None else self.bias[member, 0])


class StackedConvolution(WeightedLayer):
    """M convolutions of stride 1 without padding; weight (M, outputs, inputs, k, k).

    On the CPU the members run one after the other: a grouped convolution is slower there.
    On CUDA they run as one grouped convolution.
    """

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        first = layers[0]
        if first.stride != (1, 1) or first.padding != (0, 0) or first.dilation != (1, 1) or first.groups != 1:
            raise InputError(f"only convolutions of stride 1 without padding can be stacked, got {first}")
        super().__init__([layer.weight for layer in layers], [layer.bias for layer in layers])
        if self.bias is not None:
            self.bias = self.bias[:, None, :, None, None]  # (M, 1, outputs, 1, 1)
            self.bias_velocity = torch.zeros_like(self.bias)

    def _by_member(self, x: Tensor, operator: Callable[[Tensor, Tensor, int], Tensor]) -> Tensor:
        """Apply operator(x, weight, groups) to each member's (B, C, H, W), or to all at once."""
        if x.device.type == "cpu":
            results = [operator(x[m], self.weight[m], 1) for m in range(len(x))]
            return torch.stack(results) if len(x) > 1 else results[0].unsqueeze(0)
        wide = x.transpose(0, 1).flatten(1, 2)  # (B, M·C, H, W)
        out = operator(wide, self.weight.flatten(0, 1), len(x))
        return split(out, 1, (len(x), -1)).transpose(0, 1)

    @override
    def forward(self, h: Tensor) -> tuple[Tensor, LayerTrace]:
        z = self._by_member(h, convolve)
        return z if self.bias is None else z + self.bias, LayerTrace(h.shape[2:])

    @override
    def pull(self, u: Tensor, at: LayerTrace) -> Tensor:
        def transposed(rows: Tensor, weight: Tensor, groups: int) -> Tensor:
            return convolve_transposed(rows, weight, at.shape, groups)

        return split(self._by_member(u.flatten(1, 2), transposed), 1, u.shape[1:3])

    @override
    def push(self, t: Tensor, at: LayerTrace) -> Tensor:
        return split(self._by_member(t.flatten(1, 2), convolve), 1, t.shape[1:3])

    @override
    def accumulate(self, momentum: float, inputs: Tensor, signals: Tensor, bias_signals: Tensor) -> None:
        x, u = inputs.flatten(1, 2), signals.flatten(1, 2)
        self.weight_velocity.mul_(momentum)
        if x.device.type == "cpu":
            if self.weight.shape[2] >= FEW_CHANNELS:
                x, u = channels_innermost(x), channels_innermost(u)
            for m in range(len(x)):
                self.weight_velocity[m] += convolution_backward(u[m], x[m], self.weight[m], 1, wanted=1)
        else:
            wide_x, wide_u = x.transpose(0, 1).flatten(1, 2), u.transpose(0, 1).flatten(1, 2)
            gradient = convolution_backward(wide_u, wide_x, self.weight.flatten(0, 1), len(x), wanted=1)
            self.weight_velocity += gradient.view_as(self.weight)
        if self.bias_velocity is not None:
            total = bias_signals.sum(dim=(1, 3, 4))[:, None, :, None, None]
            self.bias_velocity.mul_(momentum).add_(total, alpha=BIAS_RATE)

    @override
    def write(self, member: int, module: nn.Module) -> None:
        _copy(module, self.weight[member], None if self.bias is None else self.bias[member].flatten())


def _copy(module: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
    module.get_parameter("weight").copy_(weight)
    if bias is not None:
        module.get_parameter("bias").copy_(bias)


class StackedRectifier(Layer):
    """ReLU or leaky ReLU: pulls and pushes with the slopes at its input."""

    def __init__(self, slope: float) -> None:
        self.slope = slope

    @override
    def forward(self, h: Tensor) -> tuple[Tensor, LayerTrace]:
        rectified = functional.relu(h) if self.slope == 0 else functional.leaky_relu(h, self.slope)
        return rectified, LayerTrace(h.shape[2:], h)

    @override
    def pull(self, u: Tensor, at: LayerTrace) -> Tensor:
        before = at.crossed.unsqueeze(2)
        masked: Tensor
        if self.slope == 0:
            masked = torch.ops.aten.threshold_backward(u, before, 0.0)
        else:
            masked = torch.ops.aten.leaky_relu_backward(u, before, self.slope, False)
        return masked

    @override
    def push(self, t: Tensor, at: LayerTrace) -> Tensor:
        return self.pull(t, at)  # a diagonal matrix is its own transpose


class StackedMaxPool(Layer):
    """Max-pooling: picks the positions of its input's maxima, the first of tied ones."""

    def __init__(self, kernel: int | tuple[int, int], stride: int | tuple[int, int]) -> None:
        self.kernel, self.stride = kernel, stride

    @override
    def forward(self, h: Tensor) -> tuple[Tensor, LayerTrace]:
        pooled, index = max_pool(h.flatten(0, 1), self.kernel, self.stride)
        pooled, index = (split(value, 0, h.shape[:2]) for value in (pooled, index))
        return pooled, LayerTrace(h.shape[2:], index)  # index (M, N, C, H', W')

    @override
    def pull(self, u: Tensor, at: LayerTrace) -> Tensor:
        inside = at.shape[-2:]
        spread = u.new_zeros(*u.shape[:-2], inside.numel())
        spread.scatter_add_(-1, _each_row(at.crossed, u.shape[2]), u.flatten(-2))
        return split(spread, -1, inside)

    @override
    def push(self, t: Tensor, at: LayerTrace) -> Tensor:
        picked = t.flatten(-2).gather(-1, _each_row(at.crossed, t.shape[2]))
        return split(picked, -1, at.crossed.shape[-2:])


def _each_row(index: Tensor, rows: int) -> Tensor:
    """(M, N, C, H, W) → (M, N, r, C, H·W), the same positions for each row."""
    return index.flatten(-2).unsqueeze(2).expand(-1, -1, rows, -1, -1)


class StackedFlatten(Layer):
    """(M, N, C, H, W) ↔ (M, N, C·H·W)."""

    @override
    def forward(self, h: Tensor) -> tuple[Tensor, LayerTrace]:
        return h.flatten(2), LayerTrace(h.shape[2:])

    @override
    def pull(self, u: Tensor, at: LayerTrace) -> Tensor:
        return split(u, -1, at.shape)

    @override
    def push(self, t: Tensor, at: LayerTrace) -> Tensor:
        return t.flatten(3)


def stack(networks: Sequence[nn.Sequential]) -> list[Layer]:
    """Stack M networks of one architecture, layer by layer.

    Raises:
        InputError: no networks, a module that has no stacked form or computes more than its type
            says, no linear layer at the end, or architectures that differ.
    """
    if not networks:
        raise InputError("an ensemble needs at least one network, got none")
    for network in networks:
        if type(network) is not nn.Sequential or not is_plain(network):
            raise InputError(
                f"{type(network).__name__} has no stacked form; expected a plain nn.Sequential, without hooks"
            )
    _check_one_architecture(networks)
    layers = [_stacked(modules) for modules in zip(*networks, strict=True)]
    weighted = [layer for layer in layers if isinstance(layer, WeightedLayer)]
    if not weighted or not isinstance(weighted[-1], StackedLinear):
        raise InputError("the last layer with weights must be an nn.Linear, whose outputs are the K logits")
    return _pool_first(layers)


def is_plain(module: nn.Module) -> bool:
    """Whether a module runs the `forward` of its class on its own parameters, and nothing more.

    Hooks, a `forward` of the module's own and parameters of another kind do more. So do subclasses
    (parametrised modules are some): compare the type beside this.

    >>> hooked = nn.ReLU()
    >>> handle = hooked.register_forward_hook(lambda module, inputs, output: -output)
    >>> is_plain(nn.ReLU()), is_plain(hooked)
    (True, False)
    """
    hooked = any(getattr(module, f"_{kind}") for kind in HOOKS) or any(
        getattr(nn.modules.module, f"_global_{kind}") for kind in HOOKS
    )
    replaced = "forward" in vars(module)
    own = all(type(parameter) is nn.Parameter for parameter in module.parameters(recurse=False))
    return own and not hooked and not replaced


def _check_one_architecture(networks: Sequence[nn.Sequential]) -> None:
    """Raise InputError unless the networks differ in the values of their parameters only."""
    built = [[(type(m), m.extra_repr()) for m in network] for network in networks]
    shapes = [[p.shape for p in network.parameters()] for network in networks]
    for index, (modules, sizes) in enumerate(zip(built, shapes, strict=True)):
        if sizes != shapes[0]:
            raise InputError("the members of an ensemble must have one architecture; parameter shapes differ")
        if modules != built[0]:
            raise InputError(
                f"the members of an ensemble must have one architecture; member {index} has other layers "
                "than member 0, or other settings of them"
            )


def _stacked(modules: Sequence[nn.Module]) -> Layer:
    """One layer of all members.

    Raises:
        InputError: it has no stacked form.
    """
    first = modules[0]
    kind = type(first)
    if all(is_plain(module) for module in modules):
        if kind is nn.Linear:
            return StackedLinear(cast(Sequence[nn.Linear], modules))
        if kind is nn.Conv2d:
            return StackedConvolution(cast(Sequence[nn.Conv2d], modules))
        if kind is nn.ReLU:
            return StackedRectifier(0.0)
        if isinstance(first, nn.LeakyReLU) and kind is nn.LeakyReLU:
            return StackedRectifier(first.negative_slope)
        if isinstance(first, nn.MaxPool2d) and kind is nn.MaxPool2d and _pools_simply(first):
            return StackedMaxPool(first.kernel_size, first.stride)
        if (
            isinstance(first, nn.Flatten)
            and kind is nn.Flatten
            and (first.start_dim, first.end_dim) == (1, -1)
        ):
            return StackedFlatten()
    raise InputError(
        f"{kind.__name__} has no stacked form: {first}; train it alone, with regrob.training.train"
    )


def _pools_simply(pool: nn.MaxPool2d) -> bool:
    """Whether a pool's windows all lie inside the image, and only values leave it."""
    return pool.padding == 0 and pool.dilation == 1 and not pool.ceil_mode and not pool.return_indices


def _pool_first(layers: list[Layer]) -> list[Layer]:
    """Swap each rectifier with a max-pool after it: max(σ(h)) = σ(max(h)) for a rising σ.

    It then handles the pooled quarter. Nothing changes in z or V: where every entry of a
    window is rectified to zero, so is the entry that the pool now picks.
    """
    swapped = list(layers)
    for i, (first, second) in enumerate(itertools.pairwise(layers)):
        if isinstance(first, StackedRectifier) and first.slope >= 0 and isinstance(second, StackedMaxPool):
            swapped[i], swapped[i + 1] = second, first
    return swapped
