"""Logits, and the gradient of any combination of them, at a batch of images.

Attacks ask one thing of a network: z(x), then Vᵀ-combinations V·c for coefficients c that
depend on z. A network of stackable layers answers without autograd, and so does a whole
ensemble, which poses as one network with M·N examples. Anything else goes through autograd.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from typing_extensions import override

from regrob.ensemble import Ensemble
from regrob.errors import InputError
from regrob.gram import ORDER
from regrob.kernels import split
from regrob.local import LocalMap, local_map

Coefficients = Callable[[Tensor], Tensor]


class Pullback(ABC):
    """What an attack may ask of a network; N examples, member by member for an ensemble."""

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """(N, …) → (N, K)."""

    @abstractmethod
    def gradient(self, images: Tensor, coefficients: Coefficients) -> tuple[Tensor, Tensor]:
        """Σ_k c_k ∇z_k with c = coefficients(z), and z: (N, …) and (N, K)."""

    @abstractmethod
    def local_map(self, images: Tensor) -> LocalMap:
        """V (N, n, K) and z (N, K)."""


class AutogradPullback(Pullback):
    """Any network, through autograd."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    @override
    def logits(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            z: Tensor = self.network(images)
        return z

    @override
    def gradient(self, images: Tensor, coefficients: Coefficients) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = images.detach().requires_grad_(True)
            z = self.network(x)
            (gradient,) = torch.autograd.grad(z, x, coefficients(z.detach()))
        return gradient, z.detach()

    @override
    def local_map(self, images: Tensor) -> LocalMap:
        return local_map(self.network, images, check=False)


class StackedPullback(nn.Module, Pullback):
    """M stacked networks posing as one: example m·N + i is image i of member m.

    Args:
        ensemble: the members; a batch must hold the same number of images for each.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__()
        self.ensemble = ensemble

    def forward(self, images: Tensor) -> Tensor:
        """As `logits`."""
        return self.logits(images)

    @override
    def logits(self, images: Tensor) -> Tensor:
        return self.ensemble.logits(self._by_member(images)).flatten(0, 1)

    @override
    def gradient(self, images: Tensor, coefficients: Coefficients) -> tuple[Tensor, Tensor]:
        x = self._by_member(images)
        z = self.ensemble.logits(x)
        rows = split(coefficients(z.flatten(0, 1)), 0, z.shape[:2]).unsqueeze(2)
        gradient = self.ensemble.pull(rows)
        return gradient.reshape(images.shape), z.flatten(0, 1)

    @override
    def local_map(self, images: Tensor) -> LocalMap:
        V, z = self.ensemble.local_maps(self._by_member(images))
        return LocalMap(V.flatten(0, 1), z.flatten(0, 1))

    def _by_member(self, images: Tensor) -> Tensor:
        members = self.ensemble.members
        if images.shape[0] % members:
            raise InputError(f"{images.shape[0]} images do not divide among {members} members")
        return split(images, 0, (members, -1))


def pullback(network: nn.Module) -> Pullback:
    """The fastest way into a network: stacked layers if it has only those, autograd otherwise."""
    if isinstance(network, StackedPullback):
        return network
    if isinstance(network, nn.Sequential):
        try:
            return StackedPullback(Ensemble([network], torch.zeros(1, len(ORDER))))
        except InputError:
            pass
    return AutogradPullback(network)
