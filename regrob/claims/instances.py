"""Random instances for the ledger: bare (V, z, y), and real networks with autograd's answers.

Many claims are inequalities with room at random instances, where no small mistake shows. So both kinds
hold instances next to equality as well: two live classes among improbable ones, and rivals that coincide.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob import networks
from regrob.affine.local_map import LocalMap, local_map
from regrob.claims import groups
from regrob.claims.comparisons import relative
from regrob.claims.groups import Groups, joined
from regrob.claims.oracle import Derivatives, autograd_derivatives
from regrob.errors import InputError
from regrob.theory import bounds, derivatives, probability

Excess = Callable[..., Any]
"""By how much a statement is violated: a function of a draw, an instance or a network, and of a choice.

The choice is right by default. It returns a tensor; of a draw, it may return one for each group.
"""


KINDS = 12
"""Bare instances go through so many kinds of geometry; from the eighth on they have none."""

IMPROBABLE = 30.0
"""How far below the others the logit of an improbable class is: e^-30 is 1e-13."""

LARGE = 16.0
"""A margin beyond which the probabilities of rivals are below 1e-7."""

TIE = 0.02
"""How far apart two logits next to a tie are."""


class NoInstanceError(InputError):
    """No instance is one that a check is about."""


@dataclass(frozen=True)
class Instance:
    """T local linear maps with labels, all float64, and ∇ and H from a closed form or from autograd.

    Iterating gives V, z and y, which is what functions of `regrob.theory` take.

    Attributes:
        V: (T, n, K).
        z: (T, K).
        y: (T,).
        gradient: (T, n).
        hessian: (T, n, n).
        noise: (T,), rounding in units of the machine's, at least 1.
    """

    V: Tensor
    z: Tensor
    y: Tensor
    gradient: Tensor
    hessian: Tensor
    noise: Tensor

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.V, self.z, self.y))

    def where(self, keep: Tensor) -> Instance:
        """Those of the T that `keep` (T,) admits."""
        return Instance(*(getattr(self, field.name)[keep] for field in fields(self)))

    @property
    def K(self) -> int:
        """Number of classes."""
        return self.z.shape[-1]

    @property
    def p(self) -> Tensor:
        """p_y: (T,)."""
        return probability.label_probability(self.z, self.y)

    @property
    def q(self) -> Tensor:
        """1 − p_y: (T,)."""
        return probability.rival_probability(self.z, self.y)

    @property
    def m(self) -> Tensor:
        """The logit margin log(p_y/q): (T,)."""
        return probability.logit_margin(self.z, self.y)

    @property
    def xi(self) -> Tensor:
        """ξ = log K − L, the slack: (T,)."""
        return probability.slack(self.z, self.y)

    @property
    def s(self) -> Tensor:
        """v₊ − v₋: (T, n)."""
        return self.V[..., 0] - self.V[..., 1]

    @property
    def gradient_norm(self) -> Tensor:
        """‖∇‖₂: (T,)."""
        return length(self.gradient)

    @property
    def uphill(self) -> Tensor:
        """∇/‖∇‖₂: (T, n)."""
        return self.gradient / self.gradient_norm.unsqueeze(-1)

    @property
    def curvature(self) -> Tensor:
        """‖H‖₂, from the n×n matrix itself: (T,)."""
        eigenvalues: Tensor = torch.linalg.eigvalsh(self.hessian)
        return eigenvalues[..., -1]

    @property
    def trace(self) -> Tensor:
        """tr H, from the n×n matrix itself: (T,)."""
        return self.hessian.diagonal(dim1=-2, dim2=-1).sum(dim=-1)

    @property
    def lipschitz(self) -> Tensor:
        """‖V‖_F: (T,)."""
        return derivatives.lipschitz(self.V)

    @property
    def spectral_norm(self) -> Tensor:
        """‖V‖₂: (T,)."""
        largest: Tensor = torch.linalg.matrix_norm(self.V, ord=2)
        return largest

    @property
    def centred_norm(self) -> Tensor:
        """‖VC‖₂: (T,)."""
        return bounds.centred_norm(self.V)

    def model_gradient(self, r: Tensor) -> Tensor:
        """∇ + Hr, the quadratic model's gradient after a step r: (T, n)."""
        return self.gradient + (self.hessian @ r.unsqueeze(-1)).squeeze(-1)

    def quadratic_form(self, r: Tensor) -> Tensor:
        """rᵀHr: (T,)."""
        return (r.unsqueeze(-2) @ self.hessian @ r.unsqueeze(-1)).flatten()

    def gain(self, r: Tensor) -> Tensor:
        """∇ᵀr + rᵀHr/2: (T,)."""
        return model_gain(self.gradient, self.hessian, r)

    def moved(self, r: Tensor) -> Tensor:
        """The logits after steps r (…, T, n): (…, T, K)."""
        return self.z + (self.V.mT @ r.unsqueeze(-1)).squeeze(-1)


def closed_form(V: Tensor, z: Tensor, y: Tensor) -> Instance:
    """Bare instances V (T, n, K), z (T, K), y (T,), with ∇ and H in closed form."""
    gradient, hessian = derivatives.input_gradient(V, z, y), derivatives.hessian(V, z)
    return Instance(V, z, y, gradient, hessian, torch.ones_like(z[:, 0]))


def written_down(V: list[list[float]], z: list[float]) -> Instance:
    """One instance with label 0: for sharpness and for limits."""
    double = torch.float64
    return closed_form(torch.tensor([V], dtype=double), torch.tensor([z], dtype=double), torch.tensor([0]))


class Sample(NamedTuple):
    """A real network at N off-kink images: the local map, the labels, autograd's answers.

    Steps of the size `step` stay in the polytope and move the logits by far more than their rounding.
    Teeth are judged for each `kind`; `head` says what its last layer was made for, as in `HEADS`.
    """

    name: str
    network: nn.Module
    images: Tensor
    map: LocalMap
    y: Tensor
    autograd: Derivatives
    step: float = 1e-7
    kind: str = "network"
    head: str = ""

    @property
    def instance(self) -> Instance:
        """The local map with its labels, and autograd's ∇ and H."""
        return Instance(
            self.map.V, self.map.z, self.y, self.autograd.gradient, self.autograd.hessian, self.noise
        )

    @property
    def noise(self) -> Tensor:
        """How much rounding autograd's own softmax leaves: grows as 1/q. Shape (N,), at least 1."""
        return 1.0 / probability.rival_probability(self.map.z, self.map.z.argmax(dim=-1))

    def jacobian_error(self, V: Tensor) -> Tensor:
        """A closed form against autograd's Jacobian: (N,)."""
        return relative(V - self.autograd.jacobian, self.autograd.jacobian, axes=2)

    def gradient_error(self, gradient: Tensor) -> Tensor:
        """A closed form against autograd's gradient, in units of the noise: (N,)."""
        return relative(gradient - self.autograd.gradient, self.autograd.gradient, axes=1) / self.noise

    def hessian_error(self, hessian: Tensor) -> Tensor:
        """A closed form against autograd's Hessian, in units of the noise: (N,)."""
        return relative(hessian - self.autograd.hessian, self.autograd.hessian, axes=2) / self.noise


@dataclass(frozen=True)
class Draw:
    """A source of instances; the same trials and seed give the same instances.

    Attributes:
        trials: how many bare instances a call returns.
        seed: of the generator behind every call.
        device: where the instances live.
    """

    trials: int
    seed: int
    device: str = "cpu"

    def instances(
        self, classes: int, *, inputs: int = 5, correct: bool = True, low: float = 1e-2, high: float = 30.0
    ) -> Instance:
        """Bare instances over many regimes: every scale, and degenerate geometry.

        Args:
            classes: K.
            inputs: n.
            correct: label each instance with its argmax; otherwise with a random class.
            low, high: range of the logits' scale (log-uniform); 30 gives q down to e^-60.
        """
        generator = torch.Generator().manual_seed(self.seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(self.trials, *shape, generator=generator, dtype=torch.float64)

        def scale(smallest: float, largest: float) -> Tensor:
            """Log-uniform."""
            share = torch.rand(self.trials, 1, generator=generator, dtype=torch.float64)
            return smallest * torch.exp(share * math.log(largest / smallest))

        V = normal(inputs, classes) * scale(1e-3, 1e3)[..., None]
        z = normal(classes) * scale(low, high)
        kind = torch.arange(self.trials) % KINDS
        V[kind == 0] = V[kind == 0][:, :1, :]  # all gradients parallel
        V[kind == 1, :, -1] = V[kind == 1, :, 0]  # two classes move together
        V[kind == 2] -= V[kind == 2].mean(dim=-1, keepdim=True)  # zero-sum columns
        pair, coinciding = (kind == 3) | (kind == 4), (kind == 5) | (kind == 6)
        next_to_a_tie = (kind == 4) | (kind == 6)
        z[next_to_a_tie, 0] = z[next_to_a_tie, 1] + TIE
        z[kind == 3, 0] = z[kind == 3, 1] + LARGE
        V[pair, :, 1] = -V[pair, :, 0]  # two live classes, the others improbable and midway
        V[pair, :, 2:] = 0.0
        z[pair, 2:] = z[pair, :2].amin(dim=-1, keepdim=True) - IMPROBABLE
        V[coinciding, :, 2:] = V[coinciding, :, 1:2]  # all rivals of the first class coincide
        z[coinciding, 2:] = z[coinciding, 1:2]
        if correct:
            z[coinciding, 0] = z[coinciding, 1] + (z[coinciding, 0] - z[coinciding, 1]).abs()
        if classes == 2:
            same = kind == 1  # two classes moving together leave ν = 0: keep a difference
            V[same, 0, -1] += 1.0
        if correct:
            y = z.argmax(dim=-1)
        else:
            y = torch.randint(classes, (self.trials,), generator=generator)
            y[pair] %= 2  # a live one
        return closed_form(V.to(self.device), z.to(self.device), y.to(self.device))

    def samples(self, classes: int) -> tuple[Sample, ...]:
        """Random and trained networks of several architectures, with autograd's answers.

        Every thousand trials draw all of them once more.
        """
        rounds = max(1, self.trials // 1000)
        sets = max(4, rounds)
        return tuple(
            sample for i in range(rounds) for sample in samples(classes, (self.seed + i) % sets, self.device)
        )

    def over_samples(
        self,
        excess: Callable[[Sample], Tensor],
        *classes: int,
        only: Callable[[Sample], bool] = lambda sample: True,
    ) -> Groups:
        """An excess of every sample that `only` admits, by K and kind of network.

        Each K must have one, so that a check of several K says nothing about a network with fewer classes.
        """
        parts = []
        for K in classes:
            admitted = [s for s in self.samples(K) if only(s)]
            if not admitted:
                raise NoInstanceError(f"no network with K = {K} is one that the check is about")
            parts += [(groups.of(K, s.kind), excess(s)) for s in admitted]
        return joined(parts)

    def normal(self, *shape: int, stream: int = 0) -> Tensor:
        """Standard normal float64 numbers; the same at every call with the same shape and stream."""
        generator = torch.Generator().manual_seed(self.seed + stream)
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(self.device)

    def uniform(self, *shape: int, stream: int = 0) -> Tensor:
        """The same, uniform in [0, 1)."""
        generator = torch.Generator().manual_seed(self.seed + stream)
        return torch.rand(shape, generator=generator, dtype=torch.float64).to(self.device)


def model_gain(gradient: Tensor, hessian: Tensor, r: Tensor) -> Tensor:
    """The quadratic model ∇ᵀr + rᵀHr/2 for gradients and steps (T, n) and Hessians (T, n, n): (T,)."""
    curved = (r.unsqueeze(-2) @ hessian @ r.unsqueeze(-1)).flatten()
    return (gradient * r).sum(dim=-1) + 0.5 * curved


def length(vectors: Tensor) -> Tensor:
    """Euclidean norms over the last axis: (…)."""
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return norms


def unit(r: Tensor) -> Tensor:
    """r / ‖r‖₂ along the last axis."""
    direction: Tensor = r / r.norm(dim=-1, keepdim=True)
    return direction


def signed(y: Tensor) -> Tensor:
    """The paper's label: +1 for class 0 (the column v₊), −1 for class 1."""
    return (1 - 2 * y).to(torch.float64)


@functools.cache
def samples(classes: int, seed: int, device: str) -> tuple[Sample, ...]:
    """Build the samples once for each (classes, seed, device)."""
    generator = torch.Generator().manual_seed(1000 + seed)
    built = []
    for architecture in _architectures(classes, generator):
        heads = HEADS if architecture.biases and not architecture.trained else {"": None}
        for head, place in heads.items():
            network = copy.deepcopy(architecture.network).double().eval()
            images = torch.rand(2 * CANDIDATES, *architecture.shape, generator=generator, dtype=torch.float64)
            alive = local_map(network[:-1], images, check=False).V.flatten(1).any(dim=1)
            images = images[alive][:CANDIDATES]  # where every unit is off, nothing can be compared
            images = images[:6] if place is None else place(network, images, generator)
            network, images = network.to(device), images.to(device)
            local = local_map(network, images)
            y = local.z.argmax(dim=-1)
            y[-1] = classes - 1 if y[-1] == 0 else 0  # one of six is misclassified
            derivatives = autograd_derivatives(network, images, y)
            kind, step = architecture.kind, 1e-6 if head else 1e-7  # of a head the logits may be large
            built.append(Sample(architecture.name, network, images, local, y, derivatives, step, kind, head))
    return tuple(built)


class _Architecture(NamedTuple):
    name: str
    kind: str
    network: nn.Sequential
    shape: tuple[int, ...]
    biases: bool = True
    trained: bool = False


def _architectures(classes: int, generator: torch.Generator) -> Iterator[_Architecture]:
    trained = networks.mlp((8, 16, 12, classes), generator=generator)
    centres = torch.rand(classes, 8, generator=generator)  # the fit is to some 95 % accuracy
    fit_clouds(trained, centres, generator, spread=0.15, batch=64, steps=150, rate=0.2)
    yield _Architecture("trained MLP", "MLP", trained, (8,), trained=True)
    for bias in (True, False):

        def mlp(*widths: int, slope: float = 0.0, bias: bool = bias) -> nn.Sequential:
            return networks.mlp(widths, bias=bias, slope=slope, generator=generator)

        skip = nn.Sequential(
            mlp(8, 12), networks.Residual(mlp(12, 10, 12)), nn.ReLU(), nn.Linear(12, classes, bias=bias)
        )
        max_pool = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=bias),
            nn.BatchNorm2d(4) if bias else nn.Identity(),
            nn.LeakyReLU(0.2),  # so few channels of ReLUs would at times all be off
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, bias=bias),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
            nn.Linear(6, classes, bias=bias),
        )
        average_pool = nn.Sequential(
            nn.Conv2d(1, 4, 3, bias=bias),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.LeakyReLU(0.1),
            nn.Linear(16, classes, bias=bias),
        )
        made = [
            ("MLP", mlp(8, 16, 12, classes), (8,)),
            ("leaky MLP", mlp(8, 16, 12, classes, slope=0.2), (8,)),
            ("skip connection", skip, (8,)),
            ("max-pool", max_pool, (1, 6, 6)),
            ("average pool", average_pool, (1, 6, 6)),
        ]
        for kind, network, shape in made:
            name = f"{kind} {'with' if bias else 'without'} biases"
            yield _Architecture(name, kind, _scatter(network, generator), shape, bias)


def _features(network: nn.Sequential, images: Tensor) -> tuple[Tensor, nn.Linear]:
    """What the last layer reads, and the last layer, with weights of zero."""
    last = network[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.zero_()
        features: Tensor = network[:-1](images)
    return features, last


def _two_live_classes(network: nn.Sequential, images: Tensor, generator: torch.Generator) -> Tensor:
    """Two logits that are each other's negative, at margins from `TIE` to `LARGE`; the others constant."""
    features, last = _features(network, images)
    w = torch.randn(features.shape[1], generator=generator, dtype=torch.float64)
    along, order = (features @ w).sort()
    scale = (LARGE - TIE) / 2 / (along[-1] - along[0])
    with torch.no_grad():
        last.weight[0], last.weight[1] = scale * w, -scale * w
        last.bias[0] = TIE / 2 - scale * along[0]
        last.bias[1] = -last.bias[0]
        last.bias[2:] = -LARGE / 2 - IMPROBABLE
    return images[order[[0, 12, 25, 38, -1, 50]]]


def _coinciding_rivals(network: nn.Sequential, images: Tensor, generator: torch.Generator) -> Tensor:
    """One logit leads, by `TIE` to 3, but at the last image; all others are the same function."""
    features, last = _features(network, images)
    w, u = torch.randn(2, features.shape[1], generator=generator, dtype=torch.float64)
    lead, order = (features @ (w - u)).sort()
    least = lead[CANDIDATES // 2]
    scale = (3.0 - TIE) / (lead[-1] - least)
    with torch.no_grad():
        last.weight[0], last.weight[1:] = scale * w, scale * u
        last.bias[0] = TIE - scale * least
    return images[order[[CANDIDATES // 2, 40, 48, 56, -1, 0]]]


CANDIDATES = 64
"""Images from which a head chooses six: at these it does what it is made for."""

HEADS: dict[str, Callable[[nn.Sequential, Tensor, torch.Generator], Tensor] | None] = {
    "": None,
    "two live classes": _two_live_classes,
    "coinciding rivals": _coinciding_rivals,
}
"""Last layers of the sample networks with biases: as drawn, and next to equality in many inequalities."""


def fit_clouds(
    network: nn.Module,
    centres: Tensor,
    generator: torch.Generator,
    *,
    spread: float,
    batch: int,
    steps: int,
    rate: float,
) -> None:
    """Fit Gaussian clouds of this spread around K centres (K, n), by SGD with momentum."""
    optimiser = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    with torch.enable_grad():
        for _ in range(steps):
            y = torch.randint(len(centres), (batch,), generator=generator)
            noise = torch.randn(batch, centres.shape[1], generator=generator, dtype=centres.dtype)
            optimiser.zero_grad()
            functional.cross_entropy(network(centres[y] + spread * noise), y).backward()
            optimiser.step()


def _scatter(network: nn.Sequential, generator: torch.Generator) -> nn.Sequential:
    """Random weights, biases and running statistics, so that nothing sits at a special value."""
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                fan = max(1, value[0].numel()) if value.ndim > 1 else 4
                noise = torch.randn(value.shape, generator=generator) * (2.0 / fan) ** 0.5
                value.copy_(noise.abs() + 0.5 if name.endswith("running_var") else noise)
    return network
