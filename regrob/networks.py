"""The paper's networks (Appendix F), and plain multilayer perceptrons (Eq. 3).

Every network takes images of shape (N, channels, height, width), or (N, n) for an `mlp`,
and returns logits of shape (N, K). Activations and poolings are modules, never bare
functions, so that `regrob.affine` can see where the kinks are. `generator` is the source of the
initial weights, torch's global one if None; `classes` is K.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from regrob.errors import InputError

_Network = TypeVar("_Network", bound=nn.Module)


def initialise_caffe(
    network: nn.Module, generator: torch.Generator | None = None, *, variance: float = 1.0
) -> None:
    """Draw weights as Caffe's "xavier" filler does, U(±√(3 / fan_in)), and set biases to zero.

    Args:
        variance: of a weight, times fan_in. Caffe's 1 halves a signal at every ReLU; 2 keeps
            it (He et al. 2015), which a deep network needs where nothing normalises.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            fan_in = module.weight[0].numel()
            bound = (3.0 * variance / fan_in) ** 0.5
            with torch.no_grad():
                module.weight.uniform_(-bound, bound, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()


def scatter_biases(network: _Network, size: float, generator: torch.Generator | None = None) -> _Network:
    """Draw every bias from U(±size), in place, so that the kinks do not all meet at 0; return the network."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
            nn.init.uniform_(module.bias, -size, size, generator=generator)
    return network


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


def mlp_24_24(classes: int = 2, *, generator: torch.Generator | None = None) -> nn.Sequential:
    """784-24-24-K with ReLU: small enough that the distance to a mistake is known exactly."""
    return mlp((784, 24, 24, classes), generator=generator)


def mlp_50_50(classes: int = 10, *, generator: torch.Generator | None = None) -> nn.Sequential:
    """784-50-50-K with ReLU: as `mlp_24_24`, for ten classes."""
    return mlp((784, 50, 50, classes), generator=generator)


def lenet_5(
    classes: int = 10, *, relu_after_convolution: bool = True, generator: torch.Generator | None = None
) -> nn.Sequential:
    """LeNet-5 as Caffe lays it out: conv 20@5×5, pool, conv 50@5×5, pool, 500, K.

    Args:
        relu_after_convolution: the paper speaks of ReLU nonlinearities; Caffe's own file
            has none after its convolutions. Either way the network is piecewise linear.
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


def conv_bn(classes: int = 10, *, generator: torch.Generator | None = None) -> nn.Sequential:
    """Four layers for 3×32×32, LeNet-5's sizes with BatchNorm before every hidden ReLU.

    conv 20@5×5, pool, conv 50@5×5, pool, 500, K. The paper says "similar to LeNet-5 but with
    batch normalization" and no more.
    """
    network = nn.Sequential(
        nn.Conv2d(3, 20, 5),  # 32×32 → 28×28
        nn.BatchNorm2d(20),
        nn.ReLU(),
        nn.MaxPool2d(2),  # → 14×14
        nn.Conv2d(20, 50, 5),  # → 10×10
        nn.BatchNorm2d(50),
        nn.ReLU(),
        nn.MaxPool2d(2),  # → 5×5
        nn.Flatten(),
        nn.Linear(1250, 500),
        nn.BatchNorm1d(500),
        nn.ReLU(),
        nn.Linear(500, classes),
    )
    initialise_caffe(network, generator)
    return network


def vgg(classes: int = 10, *, width: int = 16, generator: torch.Generator | None = None) -> nn.Sequential:
    """VGG-like, for 3×32×32: twelve 3×3 convolutions, two fully connected layers.

    Blocks of 2, 2, 4 and 4 convolutions with width · (1, 2, 4, 8) channels, each followed by
    a max-pool by two; then 32 · width units, and K. The paper names the number of layers
    only. No BatchNorm, so that training and penalty see one and the same network; weights
    have the variance 2/fan_in instead, or twelve ReLUs would shrink the signal 2¹² times.

    Args:
        width: channels of the first block. Simonyan and Zisserman's is 64; 16 is what a
            processor can train.
    """
    layers: list[nn.Module] = []
    channels = 3
    for block, convolutions in enumerate((2, 2, 4, 4)):
        for _ in range(convolutions):
            layers += [nn.Conv2d(channels, width * 2**block, 3, padding=1), nn.ReLU()]
            channels = width * 2**block
        layers.append(nn.MaxPool2d(2))
    layers += [nn.Flatten(), nn.Linear(4 * channels, 32 * width), nn.ReLU(), nn.Linear(32 * width, classes)]
    network = nn.Sequential(*layers)
    initialise_caffe(network, generator, variance=2.0)
    return network


class Subsample(nn.Module):
    """Every second pixel, and as many channels of zeros again: a shortcut without weights."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, 2C, ⌈H/2⌉, ⌈W/2⌉)."""
        half = x[:, :, ::2, ::2]
        return torch.cat([half, torch.zeros_like(half)], dim=1)


def resnet_32(
    classes: int = 10, *, width: int = 16, generator: torch.Generator | None = None
) -> nn.Sequential:
    """ResNet-32 for 3×32×32 without BatchNorm: 31 convolutions 3×3, one fully connected layer.

    One convolution, then three stages of five residual blocks of two convolutions, with
    width · (1, 2, 4) channels, shortcuts without weights, and the mean over the pixels, as in
    He et al. (2016).

    Without BatchNorm the sum over 15 blocks would grow with depth. As in Fixup (Zhang et al.
    2019) each block's last convolution starts at zero, so that a block starts as its
    shortcut, and its first one at 15^(−1/2) of the variance-keeping weights.

    Args:
        width: channels of the first stage; He et al. take 16, which the paper does not say.
    """
    blocks = 15
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.ReLU()]
    channels = width
    for stage in range(3):
        for block in range(blocks // 3):
            halves = stage > 0 and block == 0
            wide = 2 * channels if halves else channels
            body = nn.Sequential(
                nn.Conv2d(channels, wide, 3, stride=2 if halves else 1, padding=1),
                nn.ReLU(),
                nn.Conv2d(wide, wide, 3, padding=1),
            )
            layers += [Residual(body, Subsample() if halves else None), nn.ReLU()]
            channels = wide
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    network = nn.Sequential(*layers)
    initialise_caffe(network, generator, variance=2.0)
    with torch.no_grad():
        for layer in layers:
            if isinstance(layer, Residual):
                first, last = (m.weight for m in layer.body.children() if isinstance(m, nn.Conv2d))
                first.mul_(blocks**-0.5)
                last.zero_()
    return network


NETWORKS = {
    "mlp-24-24": mlp_24_24,
    "mlp-50-50": mlp_50_50,
    "lenet-300-100": lenet_300_100,
    "lenet-5": lenet_5,
    "conv-bn": conv_bn,
    "vgg": vgg,
    "resnet-32": resnet_32,
}
"""Name → constructor, as the command line and the results files spell them."""

SOLO = {"conv-bn", "vgg", "resnet-32"}
"""Those that the ensemble cannot stack: they train one after the other."""


def fresh(name: str, classes: int, seeds: Iterable[int]) -> list[nn.Sequential]:
    """One untrained network for each seed, from which its initial weights are drawn.

    Raises:
        InputError: no network has this name.
    """
    if name not in NETWORKS:
        raise InputError(f"no network is called {name!r}; there are {', '.join(NETWORKS)}")
    build = NETWORKS[name]
    return [build(classes, generator=torch.Generator().manual_seed(seed)) for seed in seeds]


def make_every_part_matter(network: nn.Module, images: Tensor, generator: torch.Generator) -> None:
    """Change an untrained network, in place, so that no part of it waits for training; ends in eval mode.

    At the start of training a ResNet's blocks end in convolutions of zeros, which become random here, and
    the statistics of BatchNorm are of no images; here they become those of `images`.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and not module.weight.any():
            nn.init.normal_(module.weight, std=0.02, generator=generator)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # so that one batch fills the statistics
    with torch.no_grad():
        network.train()(images)
    network.eval()
