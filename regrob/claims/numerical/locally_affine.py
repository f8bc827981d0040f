"""Eq. (5) in numbers: masks, polytopes and steps inside them, on networks of many architectures."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from regrob import networks
from regrob.affine import local_map, masked_product
from regrob.claims.check import Check
from regrob.claims.combinators import check, checked, on_networks
from regrob.claims.comparisons import relative
from regrob.claims.groups import Groups
from regrob.claims.instances import Draw, Sample
from regrob.claims.oracle import autograd_derivatives
from regrob.theory import derivatives


def bias_free(sample: Sample) -> bool:
    """Whether no layer adds a constant: then z = Vᵀx."""
    return not any(name.endswith(("bias", "running_mean")) for name in sample.network.state_dict())


def is_mlp(sample: Sample) -> bool:
    """Whether the network is one that `masked_product` can multiply out."""
    return "MLP" in sample.name


# --- Eqs. (3), (4): the network and its masks ------------------------------------------


@checked("z against Vᵀx where there is no bias", wrong=False, mistake="networks with biases")
def homogeneity_error(draw: Draw, without_biases: bool = True) -> Groups:
    """z against Vᵀx on the networks without, or with, biases."""

    def error(s: Sample) -> Tensor:
        through = (s.map.V.mT @ s.images.flatten(1).unsqueeze(-1)).squeeze(-1)
        return relative(through - s.map.z, s.map.z, axes=1)

    return draw.over_samples(error, 2, only=lambda s: bias_free(s) is without_biases)


EQ_3 = (homogeneity_error,)


def multiplied_out(sample: Sample, slopes: bool = True) -> Tensor:
    """V = W₁D₁…W_d at each image; without `slopes`, leaky layers get masks of zeros and ones."""
    assert isinstance(sample.network, nn.Sequential)
    network = copy.deepcopy(sample.network)
    for module in network:
        if isinstance(module, nn.LeakyReLU) and not slopes:
            module.negative_slope = 0.0
    return torch.stack([masked_product(network, image) for image in sample.images])


@checked(
    "W₁D₁…W_d against autograd's Jacobian, slopes in D",
    wrong=False,
    mistake="masks of zeros and ones in a leaky network",
    blunt={"MLP": "its masks are zeros and ones"},
)
def mask_error(draw: Draw, slopes: bool = True) -> Groups:
    """The multiplied-out V, with or without slopes in the masks."""
    return draw.over_samples(lambda s: s.jacobian_error(multiplied_out(s, slopes)), 3, only=is_mlp)


EQ_4 = (mask_error,)

# --- the polytope Q(x) -----------------------------------------------------------------


@checked(
    "V is the same at tx, t from 1e-3 to 1e3, without biases", wrong=False, mistake="networks with biases"
)
def cone_error(draw: Draw, without_biases: bool = True) -> Groups:
    """V at tx against V at x on the networks without, or with, biases."""

    def error(s: Sample) -> Tensor:
        scaled = [local_map(s.network, t * s.images, check=False).V for t in (1e-3, 0.1, 30.0, 1e3)]
        return torch.cat([relative(V - s.map.V, s.map.V, axes=2) for V in scaled])

    return draw.over_samples(error, 2, only=lambda s: bias_free(s) is without_biases)


@checked(
    "midpoints of points of Q(x) lie in Q(x)", wrong=False, mistake="midpoints of points of different pieces"
)
def midpoint_error(draw: Draw, same_piece: bool = True) -> Groups:
    """V midway between points with the V of the first image, or between any two points."""

    def error(s: Sample) -> Tensor:
        reference = s.map.V[:1]

        def difference(points: Tensor) -> Tensor:
            return relative(local_map(s.network, points, check=False).V - reference, reference, axes=2)

        points = s.images[:1] + 0.3 * draw.normal(40, *s.images.shape[1:])
        if same_piece:
            points = points[difference(points) < 1e-12]
        if points.shape[0] == 0:
            return torch.zeros(1, dtype=torch.float64)
        return difference((points + points.flip(0)) / 2)

    return draw.over_samples(error, 2, only=is_mlp)


POLYTOPE = (cone_error, midpoint_error)

# --- which architectures ---------------------------------------------------------------


class Attention(nn.Module):
    """Softmax self-attention over four tokens of two numbers, read out linearly: (N, 8) → (N, K)."""

    def __init__(self, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.read = nn.Linear(8, classes, dtype=torch.float64)
        with torch.no_grad():
            self.read.weight.normal_(generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Queries, keys and values are the tokens themselves."""
        tokens = x.unflatten(-1, (4, 2))
        mixed = torch.softmax(tokens @ tokens.mT, dim=-1) @ tokens
        logits: Tensor = self.read(mixed.flatten(-2))
        return logits


def attention_error(draw: Draw) -> Tensor:
    """V M Vᵀ against autograd's Hessian of softmax self-attention."""
    generator = torch.Generator().manual_seed(draw.seed)
    network = Attention(3, generator)
    x = torch.randn(6, 8, generator=generator, dtype=torch.float64)
    truth = autograd_derivatives(network, x, network(x).argmax(dim=-1))
    formula = derivatives.hessian(truth.jacobian, network(x).detach())
    return relative(formula - truth.hessian, truth.hessian, axes=2)


ARCHITECTURES = (
    Check(
        "H = V M Vᵀ for convolution, pooling, skip connection, BatchNorm",
        on_networks(lambda s: s.hessian_error(derivatives.hessian(s.map.V, s.map.z)), 3),
        attention_error,
        "softmax self-attention",
    ),
)

# --- Eq. (5): affine inside the polytope -----------------------------------------------


@checked(
    "V, multiplied out from weights and masks, against autograd's Jacobian",
    wrong=(1, 0),
    mistake="the two classes exchanged",
)
def masked_product_error(draw: Draw, order: tuple[int, int] = (0, 1)) -> Groups:
    """The multiplied-out V with its columns in this order."""
    return draw.over_samples(lambda s: s.jacobian_error(multiplied_out(s)[..., order]), 2, only=is_mlp)


def step_check(name: str, *classes: int) -> Check:
    """Move a little inside Q(x): the logits of networks with so many classes must move by Vᵀr exactly."""

    def excess(draw: Draw, factor: float = 1.0) -> Groups:
        def error(s: Sample) -> Tensor:
            step = s.step * draw.normal(*s.images.shape)
            with torch.no_grad():
                moved = s.network(s.images + step) - s.network(s.images)
            predicted = (factor * s.map.V.mT @ step.flatten(1).unsqueeze(-1)).squeeze(-1)
            return relative(moved - predicted, predicted, axes=1)

        return draw.over_samples(error, *classes)

    # The step leaves seven digits of a difference of logits, or more.
    return check(name, excess, wrong=1.01, mistake="V one per cent too large", tolerance=1e-6)


EQ_5 = (masked_product_error, step_check("a step inside Q(x) moves the logits by V'r", 2))


# --- Appendix F: how many layers -------------------------------------------------------


@checked("layers with weights in the LeNet-300-100 of this package", wrong=2, mistake="two")
def layer_excess(draw: Draw, layers: int = 3) -> Tensor:
    """How many more or fewer linear layers the network has."""
    found = sum(isinstance(module, nn.Linear) for module in networks.lenet_300_100().modules())
    return torch.tensor([float(abs(found - layers))], dtype=torch.float64)


LENET = (layer_excess,)


CHECKS: dict[str, tuple[Check, ...]] = {
    "remark-lenet-layers": LENET,
    "eq-3": EQ_3,
    "eq-4": EQ_4,
    "remark-polytope": POLYTOPE,
    "remark-self-attention": ARCHITECTURES,
    "eq-5": EQ_5,
}
"""The checks of each claim, by its id."""
