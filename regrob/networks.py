"""The paper's networks (Appendix F) and a plain multilayer perceptron (Eq. 3).

Every network takes images of shape (N, channels, height, width), or (N, n) for an `mlp`,
and returns logits of shape (N, K). Activations and poolings are modules, never bare
functions, so that `regrob.local` can see where the kinks are.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regrob.errors import InputError


def initialise_caffe(network: nn.Module, generator: torch.Generator | None = None) -> None:
    """Draw weights as Caffe's "xavier" filler does, U(±√(3 / fan_in)), and set biases to zero."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            fan_in = module.weight[0].numel()
            bound = (3.0 / fan_in) ** 0.5
            with torch.no_grad():
                module.weight.uniform_(-bound, bound, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()


def mlp(
    widths: Sequence[int],
    *,
    bias: bool = True,
    slope: float = 0.0,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """A multilayer perceptron g(x) = W_dᵀ σ(… σ(W_1ᵀ x)) (Eq. 3).

    Args:
        widths: n_0, …, n_d: the input's size, the hidden widths, the number of classes K.
        bias: with biases, Eq. (5) becomes affine: z = Vᵀx + c.
        slope: σ's slope left of zero: 0 is ReLU, anything else leaky ReLU.
        generator: source of the initial weights; torch's global one if None.

    Raises:
        InputError: fewer than two widths, or a width below one.
    """
    if len(widths) < 2 or min(widths) < 1:
        raise InputError(f"widths must hold at least two positive sizes, got {list(widths)}")
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [
            nn.Linear(fan_in, fan_out, bias=bias),
            nn.LeakyReLU(slope) if slope else nn.ReLU(),
        ]
    network = nn.Sequential(*layers[:-1])
    initialise_caffe(network, generator)
    return network


def lenet_300_100(classes: int = 10, *, generator: torch.Generator | None = None) -> nn.Sequential:
    """LeNet-300-100: 784-300-100-K with ReLU. The name counts its two hidden layers."""
    return mlp((784, 300, 100, classes), generator=generator)


def lenet_5(
    classes: int = 10, *, relu_after_convolution: bool = True, generator: torch.Generator | None = None
) -> nn.Sequential:
    """LeNet-5 as Caffe lays it out: conv 20@5×5, pool, conv 50@5×5, pool, 500, K.

    Args:
        classes: K.
        relu_after_convolution: the paper speaks of ReLU nonlinearities; Caffe's own file
            has none after its convolutions. Either way the network is piecewise linear.
        generator: source of the initial weights; torch's global one if None.
    """

    def activation() -> list[nn.Module]:
        return [nn.ReLU()] if relu_after_convolution else []

    network = nn.Sequential(
        nn.Conv2d(1, 20, 5),  # 28×28 → 24×24
        *activation(),
        nn.MaxPool2d(2),  # → 12×12
        nn.Conv2d(20, 50, 5),  # → 8×8
        *activation(),
        nn.MaxPool2d(2),  # → 4×4
        nn.Flatten(),
        nn.Linear(800, 500),
        nn.ReLU(),
        nn.Linear(500, classes),
    )
    initialise_caffe(network, generator)
    return network


class Residual(nn.Module):
    """x ↦ body(x) + shortcut(x): a sum of piecewise-linear maps, so piecewise linear itself."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = nn.Identity() if shortcut is None else shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Add the two branches; shapes must agree."""
        total: Tensor = self.body(x) + self.shortcut(x)
        return total


NETWORKS = {"lenet-300-100": lenet_300_100, "lenet-5": lenet_5}
"""Name → constructor, as the command line and the results files spell them."""
