"""Quadratic models gᵀr + rᵀHr/2: random ones, classifiers', and networks' by autograd."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from regrob.claims.instances import Draw, autograd_noise
from regrob.theory import derivatives, probability, taylor_radius


class Quadratic(NamedTuple):
    """T quadratic models ξ(r) = gᵀr + rᵀHr/2 with a target ξ > 0: (T, n), (T, n, n), (T,)."""

    g: Tensor
    H: Tensor
    xi: Tensor

    def at(self, r: Tensor) -> Tensor:
        """The model's value at r (T, n): (T,)."""
        curved = (r.unsqueeze(-2) @ self.H @ r.unsqueeze(-1)).flatten()
        return (self.g * r).sum(dim=-1) + 0.5 * curved


def random_models(draw: Draw, *, semidefinite: bool) -> Quadratic:
    """Gradients and symmetric matrices of every scale; some of rank one, some with g ⟂ u."""
    generator = torch.Generator().manual_seed(draw.seed)
    T, n = draw.trials, 4

    def normal(*shape: int) -> Tensor:
        return torch.randn(T, *shape, generator=generator, dtype=torch.float64)

    def scale() -> Tensor:
        return torch.exp(4 * normal(1))

    basis = torch.linalg.qr(normal(n, n)).Q
    eigenvalues = normal(n)
    if semidefinite:
        eigenvalues = eigenvalues.abs()
    else:
        eigenvalues[:, -1] = eigenvalues[:, -1].abs()  # one curved upwards, so that r* exists
    g = normal(n) * scale()
    kind = torch.randint(4, (T,), generator=generator)
    eigenvalues[kind == 0, :-1] = 0.0  # rank one
    orthogonal = g - (g * basis[..., -1]).sum(dim=-1, keepdim=True) * basis[..., -1]
    g = torch.where((kind == 1)[:, None], orthogonal, g)
    eigenvalues = eigenvalues * scale()
    H = basis @ torch.diag_embed(eigenvalues) @ basis.mT
    xi = torch.rand(T, generator=generator, dtype=torch.float64) + 1e-3
    return Quadratic(g.to(draw.device), H.to(draw.device), xi.to(draw.device))


def classifier_models(draw: Draw) -> Quadratic:
    """The models of random classifiers with three and five classes: Eq. (33), β = log K."""
    parts = []
    for K in (3, 5):
        V, z, y = draw.instances(K, inputs=4, high=20.0)
        xi = probability.slack(z, y, threshold=math.log(K))
        parts.append(Quadratic(derivatives.input_gradient(V, z, y), derivatives.hessian(V, z), xi))
    return Quadratic(*(torch.cat(field) for field in zip(*parts, strict=True)))


def network_models(draw: Draw) -> Quadratic:
    """The same from autograd's gradients and Hessians, padded to one n with zeros."""
    parts = []
    for s in draw.samples(3):
        xi = probability.slack(s.map.z, s.y, threshold=math.log(3))
        keep = (xi > 1e-3) & probability.correctly_classified(s.map.z, s.y) & (autograd_noise(s) < 1e4)
        pad = 36 - s.autograd.gradient.shape[-1]
        g = torch.nn.functional.pad(s.autograd.gradient[keep], (0, pad))
        H = torch.nn.functional.pad(s.autograd.hessian[keep], (0, pad, 0, pad))
        parts.append(Quadratic(g, H, xi[keep]))
    return Quadratic(*(torch.cat(field) for field in zip(*parts, strict=True)))


def bounds(model: Quadratic) -> tuple[Tensor, Tensor, Tensor]:
    """Both sides of Eq. (6) in the rationalised form, and u: (T,), (T,), (T, n).

    ‖H‖₂ is the largest eigenvalue in absolute value, as the paper's symbol says.
    """
    values, vectors = torch.linalg.eigh(model.H)
    size, u = values.abs().amax(dim=-1), vectors[..., -1]
    along = (model.g * u).sum(dim=-1)
    u = u * torch.where(along < 0, -1.0, 1.0)[:, None]
    lower = taylor_radius.positive_root(model.g.norm(dim=-1), size, model.xi)
    return lower, taylor_radius.positive_root(along.abs(), size, model.xi), u


def bent_down(model: Quadratic) -> Quadratic:
    """The same models with 20‖H‖₂ taken off every eigenvalue but the first: a tooth's material."""
    values, vectors = torch.linalg.eigh(model.H)
    bent = values - 20 * values[:, -1:]
    bent[:, -1] = values[:, -1]
    return model._replace(H=vectors @ torch.diag_embed(bent) @ vectors.mT)
