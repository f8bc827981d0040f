"""The logistic loss in numbers: one-logit networks by autograd, and minimisers by Newton's method."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call, jacrev, vmap
from torch.nn.functional import softplus

from regrob import networks
from regrob.claims.check import Check
from regrob.claims.combinators import checked
from regrob.claims.comparisons import relative
from regrob.claims.instances import Draw
from regrob.theory import derivatives, probability, taylor_radius

# --- Lemma 3.2 and Propositions 3.1 to 3.3 ---------------------------------------------


def two_logits(v: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
    """V = [v, 0] and z = (vᵀx, 0): one logit written as two, (…, n, 2) and (…, 2)."""
    return torch.stack([v, torch.zeros_like(v)], dim=-1), torch.stack([m, torch.zeros_like(m)], dim=-1)


@checked("∇ and H of one-logit networks by autograd", wrong=1.001, mistake="V = [1.001 v, 0]")
def lemma_error(draw: Draw, scale: float = 1.0) -> Tensor:
    """∇ and H of a one-logit network's logistic loss by autograd against Lemma 3.2 at V = [scale·v, 0]."""
    generator = torch.Generator().manual_seed(draw.seed)
    network = networks.mlp((6, 14, 10, 1), generator=generator).double()
    images = torch.randn(12, 6, generator=generator, dtype=torch.float64)
    y = 2 * torch.randint(2, (12,), generator=generator) - 1  # the paper's ±1
    state: dict[str, Tensor] = dict(network.named_parameters())

    def score(x: Tensor) -> Tensor:
        z: Tensor = functional_call(network, state, (x[None],))
        return z[0, 0]

    def loss(x: Tensor, label: Tensor) -> Tensor:
        return softplus(-label * score(x))

    with torch.enable_grad():
        v, m = vmap(jacrev(score))(images).detach(), vmap(score)(images).detach()
        g = vmap(jacrev(loss))(images, y).detach()
        H = torch.stack([jacrev(jacrev(loss))(x, label).detach() for x, label in zip(images, y, strict=True)])
    V, z = two_logits(scale * v, m)
    label = (y < 0).long()  # class 0 is the paper's +1
    gradient_error = relative(derivatives.input_gradient(V, z, label) - g, g, axes=1)
    return torch.maximum(gradient_error, relative(derivatives.hessian(V, z) - H, H, axes=2))


@checked(
    "the three propositions against the loss's own quadratic model",
    wrong=1e-3,
    mistake="one per mille too long",
)
def radius_error(draw: Draw, stretch: float = 0.0) -> Tensor:
    """Props. 3.1 to 3.3 at V = [v, 0], lengths times 1 + `stretch`, against the loss's own quadratic model."""
    generator = torch.Generator().manual_seed(draw.seed)
    v = torch.randn(draw.trials, 5, generator=generator, dtype=torch.float64)
    m = 1e-2 + 12 * torch.rand(draw.trials, generator=generator, dtype=torch.float64)
    V, z = two_logits(v, m)
    y = torch.zeros(draw.trials, dtype=torch.int64)
    q = torch.sigmoid(-m)
    xi = probability.binary_slack(m)

    def model(r: Tensor) -> Tensor:
        """log(1 + e^{−m}), differentiated twice in m."""
        step = (v * r).sum(dim=-1)
        return -q * step + 0.5 * q * (1 - q) * step.square()

    radius_l2 = taylor_radius.radius_l2(V, z, y)[:, None] * (1 + stretch)
    radius_linf = taylor_radius.radius_linf(V, z, y)[:, None] * (1 + stretch)
    worst_case = taylor_radius.worst_case_loss(V, z, y, 0.5 * (1 + stretch))
    errors = (
        model(-radius_l2 * v / v.norm(dim=-1, keepdim=True)) / xi - 1,
        model(-radius_linf * v.sign()) / xi - 1,
        (softplus(-m) + model(-0.5 * v.sign())) / worst_case - 1,
    )
    return torch.stack(errors).abs().amax(dim=0)


TRANSFER = (lemma_error, radius_error)

# --- Proposition 3.4 -------------------------------------------------------------------


@checked(
    "the minimiser with λν²/2 is stationary with (λ/2)μ²",
    wrong=1.0,
    mistake="λμ², as printed",
    tolerance=1e-9,
)
def optimum_error(draw: Draw, factor: float = 0.5) -> Tensor:
    """Minimise E L + λν²/2 by Newton; is E L + (factor·λ)μ² stationary there?"""
    generator = torch.Generator().manual_seed(draw.seed)
    T, points, n = min(draw.trials, 2000), 20, 3
    x = torch.randn(T, points, n, generator=generator, dtype=torch.float64)
    y = 2.0 * torch.randint(2, (T, points), generator=generator) - 1
    lam = torch.exp(torch.randn(T, 1, generator=generator, dtype=torch.float64) - 2)
    v = torch.zeros(T, n, dtype=torch.float64)

    def rival_probability(v: Tensor) -> Tensor:
        return torch.sigmoid(-y * (x @ v.unsqueeze(-1)).squeeze(-1))

    def loss_gradient(v: Tensor) -> Tensor:
        return -(rival_probability(v) * y).unsqueeze(-1).mul(x).mean(dim=1)

    for _ in range(30):
        q = rival_probability(v)
        curved = (x.mT * (q * (1 - q)).unsqueeze(1)) @ x / points
        H = curved + lam[..., None] * torch.eye(n, dtype=torch.float64)
        v = v - torch.linalg.solve(H, loss_gradient(v) + lam * v)
    slope = loss_gradient(v)
    residual: Tensor = (slope + 2 * factor * lam * v).norm(dim=-1) / slope.norm(dim=-1)
    return residual


SCALE = (optimum_error,)


CHECKS: dict[str, tuple[Check, ...]] = {
    "remark-logistic-transfer": TRANSFER,
    "remark-logistic-prop-3.4": SCALE,
}
"""The checks of each claim, by its id."""
