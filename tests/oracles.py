"""Dense, naive and slow: what every closed form is held against. Nothing here imports `regrob`.

Autograd one derivative at a time, sums written out, boundaries found by trying directions,
and mpmath with hundreds of digits wherever float64 would round.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import mpmath
import torch
from torch import Tensor, nn
from torch.nn import functional

mp = mpmath.MPContext()
mp.dps = 700  # at a margin of 700, p = 1 − 1e-304; definitions that subtract need them all

# --- by autograd, one image and one derivative at a time ---------------------------------


def jacobian(network: nn.Module, image: Tensor) -> Tensor:
    """(n, K): ∂z_k/∂x_a at a single image."""
    x = image[None].clone().requires_grad_(True)
    z = network(x)[0]
    rows = [torch.autograd.grad(z_k, x, retain_graph=True)[0].flatten() for z_k in z]
    return torch.stack(rows, dim=1)


def gradient(network: nn.Module, image: Tensor, label: Tensor) -> Tensor:
    """(n,): ∂L/∂x_a of torch's own cross-entropy."""
    x = image[None].clone().requires_grad_(True)
    loss = functional.cross_entropy(network(x), label[None])
    return torch.autograd.grad(loss, x)[0].flatten()


def hessian(network: nn.Module, image: Tensor, label: Tensor) -> Tensor:
    """(n, n): ∂²L/∂x_a∂x_b, row by row."""
    x = image[None].clone().requires_grad_(True)
    loss = functional.cross_entropy(network(x), label[None])
    slope = torch.autograd.grad(loss, x, create_graph=True)[0].flatten()
    return torch.stack([torch.autograd.grad(s, x, retain_graph=True)[0].flatten() for s in slope])


# --- sums written out --------------------------------------------------------------------


def frobenius_squared(V: Tensor) -> float:
    """Σ_{a,k} V_ak²."""
    return sum(float(entry) ** 2 for row in V for entry in row)


def cross_lipschitz_sum(V: Tensor) -> float:
    """Σ over ordered pairs of ‖v_i − v_j‖² / K²."""
    n, K = V.shape
    total = 0.0
    for i, j in itertools.product(range(K), repeat=2):
        total += sum((float(V[a, i]) - float(V[a, j])) ** 2 for a in range(n))
    return total / K**2


# --- with as many digits as it takes ------------------------------------------------------


class Exact:
    """Everything about one (V, z, y) by the definitions, with 700 digits."""

    def __init__(self, V: Tensor, z: Tensor, y: int, *, threshold: float | None = None) -> None:
        self.n, self.K = V.shape
        self.V = mp.matrix([[mp.mpf(float(entry)) for entry in row] for row in V])
        self.y = y
        weights = [mp.exp(mp.mpf(float(z_k))) for z_k in z]
        total = mp.fsum(weights)
        self.p = [w / total for w in weights]
        self.p_y = self.p[y]
        self.q = 1 - self.p_y
        self.m = mp.log(self.p_y / self.q)
        self.loss = -mp.log(self.p_y)
        beta = mp.log(2) if threshold is None else mp.mpf(threshold)
        self.xi = beta - self.loss

    def gradient(self) -> mpmath.matrix:
        """V(p − e_y)."""
        weights = [p - (k == self.y) for k, p in enumerate(self.p)]
        return mp.matrix([mp.fsum(self.V[a, k] * weights[k] for k in range(self.K)) for a in range(self.n)])

    def hessian(self) -> mpmath.matrix:
        """V(diag p − ppᵀ)Vᵀ."""
        H = mp.matrix(self.n, self.n)
        for a, b in itertools.product(range(self.n), repeat=2):
            mean_a = mp.fsum(self.p[k] * self.V[a, k] for k in range(self.K))
            mean_b = mp.fsum(self.p[k] * self.V[b, k] for k in range(self.K))
            H[a, b] = (
                mp.fsum(self.p[k] * self.V[a, k] * self.V[b, k] for k in range(self.K)) - mean_a * mean_b
            )
        return H

    def curvature(self) -> mpmath.mpf:
        """The largest eigenvalue of H: in closed form for n ≤ 2, which is all that is asked."""
        H = self.hessian()
        if self.n == 1:
            return H[0, 0]
        half, det = (H[0, 0] + H[1, 1]) / 2, H[0, 0] * H[1, 1] - H[0, 1] * H[1, 0]
        return half + mp.sqrt(half**2 - det)

    def difference(self) -> list[mpmath.mpf]:
        """v₀ − v₁."""
        return [self.V[a, 0] - self.V[a, 1] for a in range(self.n)]

    def taylor_radius(self, dual_norm: mpmath.mpf) -> mpmath.mpf:
        """The schoolbook root of q‖s‖ρ + p q‖s‖²ρ²/2 = ξ."""
        a, b = self.q * dual_norm, self.p_y * self.q * dual_norm**2
        return (mp.sqrt(a**2 + 2 * b * self.xi) - a) / b


def relative_error(found: Tensor | float, exact: mpmath.mpf) -> float:
    """abs(found − exact) / abs(exact), and the absolute error where the exact value is 0."""
    error = abs(mp.mpf(float(found)) - exact)
    return float(error / abs(exact)) if exact else float(error)


# --- by trying directions -----------------------------------------------------------------


def directions(count: int) -> Tensor:
    """(count, 2): unit vectors all around the circle."""
    angle = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def sign_vectors(n: int) -> Tensor:
    """(2ⁿ, n): the corners of the unit cube of the maximum norm."""
    return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=n)), dtype=torch.float64)


def first_reach(g: Tensor, H: Tensor, xi: float, rays: Tensor) -> float:
    """Smallest t > 0 with tgᵀu + t²uᵀHu/2 = ξ over the rays u, by bisection."""
    slope, bend = rays @ g, ((rays @ H) * rays).sum(dim=1)
    low, high = torch.zeros_like(slope), torch.full_like(slope, 1e9)
    for _ in range(120):
        middle = (low + high) / 2
        reached = middle * slope + middle.square() * bend / 2 >= xi
        # The model may dip before it rises: it is convex and zero at t = 0, so it crosses ξ once.
        low, high = torch.where(reached, low, middle), torch.where(reached, middle, high)
    return float(high.min())


def nearest_mistake(V: Tensor, z: Tensor, y: int, rays: Tensor) -> float:
    """Smallest t at which x + tu has another largest logit, over the rays u, by bisection."""
    low, high = torch.zeros(len(rays), dtype=V.dtype), torch.full((len(rays),), 1e9, dtype=V.dtype)
    for _ in range(120):
        middle = (low + high) / 2
        logits = z + middle[:, None] * (rays @ V)
        others = [k for k in range(len(z)) if k != y]
        wrong = logits[:, others].amax(dim=1) >= logits[:, y]
        low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
    return float(high.min())


def worst_corner(loss: float, g: Tensor, H: Tensor, epsilon: float) -> float:
    """The quadratic model's maximum over the corners of the ε-cube: it is convex."""
    corners = epsilon * sign_vectors(len(g))
    return loss + float((corners @ g + 0.5 * ((corners @ H) * corners).sum(dim=1)).max())


def as_tensor(values: Iterable[mpmath.mpf]) -> Tensor:
    """Mpmath numbers rounded to float64."""
    return torch.tensor([float(value) for value in values], dtype=torch.float64)
