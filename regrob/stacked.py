"""Layers of M networks of one architecture, held and run as one.

Each layer knows four moves; a training step with penalties needs nothing else:
`forward` an activation, `pull` a signal back towards the input (the transposed layer),
`push` a direction forward again (the linear layer without its bias), and, for layers with
weights, `accumulate` a product of the two into the momentum.

Axes: member M, example N, row r, then the layer's own. A row is one direction in the
space of logits, or one in the space of inputs, that travels with its example.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob.errors import InputError


class Layer(Protocol):
    """What the ensemble asks of a layer."""

    def forward(self, h: Tensor) -> Tensor:
        """(M, N, …) → (M, N, …), remembering masks and indices."""

    def pull(self, u: Tensor) -> Tensor:
        """(M, N, r, outputs…) → (M, N, r, inputs…), the transposed linear map."""

    def push(self, t: Tensor) -> Tensor:
        """(M, N, r, inputs…) → (M, N, r, outputs…), the linear map."""


class WeightedLayer:
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

    def tensors(self) -> dict[str, Tensor]:
        """The layer's state, by name."""
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
            (self.bias, self.bias_velocity, 2),  # Caffe's lr_mult of biases
        ):
            if value is not None and velocity is not None:
                velocity.addcmul_(value, decay, value=factor)
                value.sub_(velocity)


class StackedLinear(WeightedLayer):
    """M linear layers; weight (M, inputs, outputs), bias (M, 1, outputs)."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        biases = [None if layer.bias is None else layer.bias[None] for layer in layers]
        super().__init__([layer.weight.T for layer in layers], biases)

    def forward(self, h: Tensor) -> Tensor:
        if self.bias is None:
            return torch.bmm(h, self.weight)
        return torch.baddbmm(self.bias, h, self.weight)

    def pull(self, u: Tensor) -> Tensor:
        return torch.bmm(u.flatten(1, 2), self.weight.mT).unflatten(1, u.shape[1:3])

    def push(self, t: Tensor) -> Tensor:
        return torch.bmm(t.flatten(1, 2), self.weight).unflatten(1, t.shape[1:3])

    def accumulate(self, momentum: float, inputs: Tensor, signals: Tensor, bias_signals: Tensor) -> None:
        """v ← momentum · v + Σ inputs ⊗ signals, the weight's gradient times the learning rate.

        Args:
            momentum: Caffe's 0.9.
            inputs: (M, N, r, inputs).
            signals: (M, N, r, outputs).
            bias_signals: (M, N, outputs), what reaches the biases.
        """
        self.weight_velocity.baddbmm_(inputs.flatten(1, 2).mT, signals.flatten(1, 2), beta=momentum)
        if self.bias_velocity is not None:
            self.bias_velocity.mul_(momentum).add_(bias_signals.sum(dim=1, keepdim=True), alpha=2)

    def write(self, member: int, layer: nn.Linear) -> None:
        """Copy one member's parameters into a module."""
        layer.weight.copy_(self.weight[member].T)
        if self.bias is not None:
            layer.bias.copy_(self.bias[member, 0])


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

    def _apply(self, x: Tensor, *, transposed: bool = False) -> Tensor:
        """(M, B, C, H, W) → (M, B, C', H', W')."""
        operator = functional.conv_transpose2d if transposed else functional.conv2d
        if x.device.type == "cpu":
            return torch.stack([operator(x[m], self.weight[m]) for m in range(x.shape[0])])
        members = x.shape[0]
        wide = x.transpose(0, 1).flatten(1, 2)  # (B, M·C, H, W)
        out = operator(wide, self.weight.flatten(0, 1), groups=members)
        return out.unflatten(1, (members, -1)).transpose(0, 1)

    def forward(self, h: Tensor) -> Tensor:
        z = self._apply(h)
        return z if self.bias is None else z + self.bias

    def pull(self, u: Tensor) -> Tensor:
        return self._apply(u.flatten(1, 2), transposed=True).unflatten(1, u.shape[1:3])

    def push(self, t: Tensor) -> Tensor:
        return self._apply(t.flatten(1, 2)).unflatten(1, t.shape[1:3])

    def accumulate(self, momentum: float, inputs: Tensor, signals: Tensor, bias_signals: Tensor) -> None:
        """As `StackedLinear.accumulate`, with the layer's own axes (channels, height, width)."""
        x, u = inputs.flatten(1, 2), signals.flatten(1, 2)
        self.weight_velocity.mul_(momentum)
        if x.device.type == "cpu":
            for m in range(x.shape[0]):
                self.weight_velocity[m] += _weight_gradient(x[m], u[m], self.weight[m], groups=1)
        else:
            members = x.shape[0]
            wide_x, wide_u = x.transpose(0, 1).flatten(1, 2), u.transpose(0, 1).flatten(1, 2)
            gradient = _weight_gradient(wide_x, wide_u, self.weight.flatten(0, 1), groups=members)
            self.weight_velocity += gradient.view_as(self.weight)
        if self.bias_velocity is not None:
            total = bias_signals.sum(dim=(1, 3, 4))[:, None, :, None, None]
            self.bias_velocity.mul_(momentum).add_(total, alpha=2)

    def write(self, member: int, layer: nn.Conv2d) -> None:
        """Copy one member's parameters into a module."""
        layer.weight.copy_(self.weight[member])
        if self.bias is not None and layer.bias is not None:
            layer.bias.copy_(self.bias[member].flatten())


def _weight_gradient(x: Tensor, u: Tensor, weight: Tensor, *, groups: int) -> Tensor:
    """Σ over the batch of the products that form a convolution's weight gradient."""
    _, gradient, _ = torch.ops.aten.convolution_backward(
        u, x, weight, None, (1, 1), (0, 0), (1, 1), False, (0, 0), groups, (False, True, False)
    )
    return gradient


class StackedRectifier:
    """ReLU or leaky ReLU: multiplies by slopes that `forward` remembers."""

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def forward(self, h: Tensor) -> Tensor:
        self.slopes = torch.where(h > 0, torch.ones_like(h), self.slope)  # (M, N, …)
        return h * self.slopes

    def pull(self, u: Tensor) -> Tensor:
        return u * self.slopes.unsqueeze(2)

    push = pull


class StackedMaxPool:
    """Max-pooling: picks the positions that `forward` remembers, the first of tied ones."""

    def __init__(self, kernel: int, stride: int) -> None:
        self.kernel, self.stride = kernel, stride

    def forward(self, h: Tensor) -> Tensor:
        self.inside = h.shape[-2:]
        pooled, index = functional.max_pool2d(
            h.flatten(0, 1), self.kernel, self.stride, return_indices=True
        )
        self.outside = pooled.shape[-2:]
        self.index = index.flatten(-2).unflatten(0, h.shape[:2])  # (M, N, C, positions)
        return pooled.unflatten(0, h.shape[:2])

    def _index(self, rows: int) -> Tensor:
        return self.index.unsqueeze(2).expand(-1, -1, rows, -1, -1)

    def pull(self, u: Tensor) -> Tensor:
        spread = u.new_zeros(*u.shape[:-2], self.inside.numel())
        spread.scatter_add_(-1, self._index(u.shape[2]), u.flatten(-2))
        return spread.unflatten(-1, self.inside)

    def push(self, t: Tensor) -> Tensor:
        return t.flatten(-2).gather(-1, self._index(t.shape[2])).unflatten(-1, self.outside)


class StackedFlatten:
    """(M, N, C, H, W) ↔ (M, N, C·H·W)."""

    def forward(self, h: Tensor) -> Tensor:
        self.shape = h.shape[2:]
        return h.flatten(2)

    def pull(self, u: Tensor) -> Tensor:
        return u.unflatten(-1, self.shape)

    def push(self, t: Tensor) -> Tensor:
        return t.flatten(3)


def stack(networks: Sequence[nn.Sequential]) -> list[Layer]:
    """Stack M networks of one architecture, layer by layer.

    Raises:
        InputError: no networks, a module that has no stacked form, or architectures that differ.
    """
    if not networks:
        raise InputError("an ensemble needs at least one network, got none")
    shapes = [[p.shape for p in network.parameters()] for network in networks]
    if any(shape != shapes[0] for shape in shapes):
        raise InputError("all members of an ensemble must have one architecture; their parameter shapes differ")
    layers: list[Layer] = []
    for modules in zip(*networks, strict=True):
        first = modules[0]
        if isinstance(first, nn.Linear):
            layers.append(StackedLinear(modules))
        elif isinstance(first, nn.Conv2d):
            layers.append(StackedConvolution(modules))
        elif isinstance(first, nn.ReLU):
            layers.append(StackedRectifier(0.0))
        elif isinstance(first, nn.LeakyReLU):
            layers.append(StackedRectifier(first.negative_slope))
        elif isinstance(first, nn.MaxPool2d) and first.padding == 0 and first.dilation == 1:
            layers.append(StackedMaxPool(int(first.kernel_size), int(first.stride)))
        elif isinstance(first, nn.Flatten):
            layers.append(StackedFlatten())
        else:
            raise InputError(
                f"{type(first).__name__} has no stacked form; train such networks one by one, "
                "with regrob.training.train"
            )
    return layers
