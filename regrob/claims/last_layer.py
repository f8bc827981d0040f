"""Training a last layer alone, many small problems at once: the ground of Proposition 3.4.

The layers below are frozen. Each image i gives features a_i and their Jacobian B_i, so that
the logits are a_iᵀW + c and the network's local linear map is V_i = B_i W. Both penalised
losses are then convex functions of W, and Newton's method finds their minimisers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob.affine.local_map import local_map
from regrob.claims.instances import Draw, Sample
from regrob.errors import ProofError, UnsuitableNetworkError
from regrob.theory import penalties


class Problem(NamedTuple):
    """T training problems of N images each, h features, K classes; everything float64.

    Attributes:
        a: (T, N, h), the features.
        B: (T, N, n, h), their Jacobian; a_i = B_iᵀx_i without biases.
        y: (T, N), labels.
        c: (T, 1, K), biases of the last layer, held fixed.
        weight: (T,), λ of λμ² and of λ(K/2)ν², ν² over ordered pairs.
    """

    a: Tensor
    B: Tensor
    y: Tensor
    c: Tensor
    weight: Tensor

    @property
    def gram(self) -> Tensor:
        """G = E BᵀB: (T, h, h)."""
        return (self.B.mT @ self.B).mean(dim=1)

    def loss(self, W: Tensor) -> Tensor:
        """Mean cross-entropy at W (T, h, K): (T,)."""
        z = self.a @ W + self.c
        return functional.cross_entropy(z.mT, self.y, reduction="none").mean(dim=1)

    def penalty(self, W: Tensor, penalty: penalties.Penalty) -> Tensor:
        """The mean over the images of a penalty that sees V = BW: (T,)."""
        z = self.a @ W + self.c
        return penalty(self.B @ W.unsqueeze(1), z, self.y).mean(dim=1)

    def jacobian(self, W: Tensor) -> Tensor:
        """J = E[L + λμ²]: (T,)."""
        return self.loss(W) + self.weight * self.penalty(W, penalties.jacobian_penalty)

    def cross_lipschitz(self, W: Tensor, factor: float = 1.0) -> Tensor:
        """C = E[L + λ(K/2)ν²], which is E[L + λ‖v₊ − v₋‖²/2] at K = 2; ν² times `factor`: (T,)."""
        scale = factor * W.shape[-1] / 2 * self.weight
        return self.loss(W) + scale * self.penalty(W, penalties.cross_lipschitz_penalty)

    def total(self, W: Tensor) -> Tensor:
        """E‖V1‖², how far the columns are from adding to zero: (T,)."""
        return (self.B @ W.sum(dim=-1)[:, None, :, None]).square().sum(dim=(2, 3)).mean(dim=1)


def draw_problems(draw: Draw, classes: int, *, units: int = 3, images: int = 12) -> Problem:
    """Random problems without biases; in one of four the last unit is dead, so that G is singular."""
    generator = torch.Generator().manual_seed(draw.seed)
    T, n = min(max(8, draw.trials // 10), 2000), 4

    def normal(*shape: int) -> Tensor:
        return torch.randn(T, *shape, generator=generator, dtype=torch.float64)

    active = torch.rand(T, images, 1, units, generator=generator) < 0.7
    B = normal(images, n, units) * active
    B[::4, ..., -1] = 0.0
    a = (B.mT @ normal(images, n, 1)).squeeze(-1)
    y = torch.randint(classes, (T, images), generator=generator)
    weight = 0.03 * torch.exp(3.0 * torch.rand(T, generator=generator, dtype=torch.float64))
    c = torch.zeros(T, 1, classes, dtype=torch.float64)
    return Problem(*(part.to(draw.device) for part in (a, B, y, c, weight)))


def last(network: nn.Module) -> nn.Linear:
    """The linear layer that a sequential network ends in.

    Raises:
        UnsuitableNetworkError: it ends in something else.
    """
    if not isinstance(network, nn.Sequential) or not isinstance(network[-1], nn.Linear):
        raise UnsuitableNetworkError("the network does not end in a linear layer")
    return network[-1]


def body(network: nn.Module) -> nn.Sequential:
    """All layers but the last; they share their weights with the network."""
    last(network)
    return nn.Sequential(*list(network.children())[:-1])


def of_network(sample: Sample, weight: float = 0.1) -> Problem:
    """The last layer of a real network, trained on the sample's own images; T = 1."""
    final = last(sample.network)
    B, z = local_map(body(sample.network), sample.images)
    c = (
        torch.zeros(1, 1, final.out_features).to(z)
        if final.bias is None
        else final.bias.detach().view(1, 1, -1)
    )
    return Problem(z[None], B[None], sample.y[None], c, torch.full((1,), weight).to(z))


def start(draw: Draw, problem: Problem) -> Tensor:
    """Random weights, their columns far from adding to zero: (T, h, K)."""
    generator = torch.Generator().manual_seed(draw.seed + 1)
    shape = (*problem.gram.shape[:2], problem.c.shape[-1])
    return (torch.randn(shape, generator=generator, dtype=torch.float64) + 0.5).to(problem.a)


def centre(W: Tensor) -> Tensor:
    """WC: the columns' mean taken away."""
    return W - W.mean(dim=-1, keepdim=True)


def gradient(problem: Problem, W: Tensor, metric: Tensor) -> Tensor:
    """∂/∂W of E L + λ E tr(V metric Vᵀ): (T, h, K). metric = I gives J, I − 11ᵀ/K gives C."""
    K = W.shape[-1]
    residual = torch.softmax(problem.a @ W + problem.c, dim=-1) - functional.one_hot(problem.y, K)
    slope = problem.a.mT @ residual / problem.y.shape[1]
    return slope + 2 * problem.weight[:, None, None] * problem.gram @ W @ metric


def metrics(classes: int) -> tuple[Tensor, Tensor]:
    """I and I − 11ᵀ/K: J's and C's."""
    identity = torch.eye(classes, dtype=torch.float64)
    return identity, identity - 1.0 / classes


def minimise(problem: Problem, W: Tensor, metric: Tensor) -> Tensor:
    """Newton's method with shortened steps, from W: a minimiser, (T, h, K).

    Directions that the objective does not see (ker G, and for C a vector added to every
    column) are left as they are at the start.

    Raises:
        ProofError: the gradient did not vanish, so that nothing was minimised.
    """
    T, h, K = W.shape
    values, vectors = torch.linalg.eigh(problem.gram)
    dead = values < 1e-9 * values[:, -1:]
    kernel = (vectors * dead.unsqueeze(1)) @ vectors.mT
    identity = torch.eye(K).to(W)
    unseen = torch.einsum("tab,kl->takbl", kernel, identity) + torch.einsum(
        "ab,kl->akbl", torch.eye(h).to(W), identity - metric
    )
    bend = 2 * torch.einsum("t,tab,kl->takbl", problem.weight, problem.gram, metric) + unseen

    for _ in range(60):
        g = gradient(problem, W, metric)
        if float(g.abs().amax()) < 1e-13:
            break
        p = torch.softmax(problem.a @ W + problem.c, dim=-1)
        spread = (torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)) / p.shape[1]
        H = torch.einsum("tia,tib,tikl->takbl", problem.a, problem.a, spread) + bend
        step = torch.linalg.solve(H.reshape(T, h * K, h * K), g.reshape(T, h * K)).reshape(T, h, K)
        trials = torch.stack([W - share * step for share in (1.0, 0.5, 0.2, 0.05, 0.01, 0.0)])
        # By the gradient's size, not by the loss: rounding hides the last eight digits of the loss.
        slopes = torch.stack([gradient(problem, trial, metric).norm(dim=(1, 2)) for trial in trials])
        best = slopes.argmin(dim=0)
        W = trials[best, torch.arange(T, device=W.device)]
    left = gradient(problem, W, metric).abs().amax()
    if not float(left) < 1e-9:
        raise ProofError(f"Newton's method left a gradient of {float(left):.1e}")
    return W


def with_last_layer(sample: Sample, W: Tensor) -> nn.Sequential:
    """The sample's network with other weights (h, K) in its last layer."""
    final = last(sample.network)
    replaced = nn.Linear(W.shape[0], W.shape[1], bias=final.bias is not None).to(W)
    replaced.weight.data.copy_(W.T)
    if final.bias is not None:
        replaced.bias.data.copy_(final.bias.data)
    return nn.Sequential(*body(sample.network), replaced)


def over_sequential(draw: Draw, classes: int, excess: Callable[[Sample], Tensor]) -> Tensor:
    """An excess of every sample network that ends in a linear layer and sees every feature.

    Where ker G hides a feature that the loss sees (a unit held up by its bias alone), a
    minimiser need not exist; such a sample is passed over.
    """
    found = []
    for sample in draw.samples(classes):
        problem = of_network(sample)
        values, vectors = torch.linalg.eigh(problem.gram[0])
        hidden = problem.a[0] @ vectors[:, values < 1e-9 * values[-1]]
        if not bool((hidden.abs() > 1e-9).any()):
            found.append(excess(sample).flatten())
    return torch.cat(found)
