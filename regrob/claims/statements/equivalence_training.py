"""The two penalties in training: one trajectory from a zero-sum last layer; when minimisers exist."""

from __future__ import annotations

import functools
from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor, nn

from regrob import networks
from regrob.claims.claim import Check, Claim, Derivation, Text
from regrob.claims.instances import Draw, relative
from regrob.claims.last_layer import (
    Problem,
    centre,
    draw_problems,
    gradient,
    last,
    metrics,
    minimise,
    start,
)
from regrob.claims.statements.equivalence_theorem import (
    ORDERED,
    PAGE,
    UNCONSTRAINED,
    both_losses,
    moments,
)
from regrob.symbols import differentiate, prove_sign, prove_zero, sum_over

# --- trajectories ----------------------------------------------------------------------


def prove_conserved(extra: int = 0) -> None:
    """Σ_k ∂L/∂z_k = 0 and Σ_k ∂/∂v_k Σ_{i<j}(v_i − v_j)² = 0; ∂(Σv)²/∂v_k is 0 at Σv = 0. Any K.

    Weight decay multiplies Σw; a step that adds multiples of gradients and of W keeps Σw = 0.
    """
    K = sp.symbols("K", integer=True, positive=True)
    k, i = sp.symbols("k i", integer=True, nonnegative=True)
    z = sp.IndexedBase("z", real=True)
    Z = sp.Sum(sp.exp(z[k]), (k, 0, K - 1))
    slope = differentiate(sp.log(Z), z[i], k)  # ∂/∂z_l of log Σ exp z_k
    prove_zero(slope * Z - sp.exp(z[i]), because="softmax")
    total = sp.Sum(sp.simplify(slope * Z), (i, 0, K - 1)).xreplace({i: k}) / Z
    prove_zero(total - 1, because="they add to one, and −z_y's to minus one")
    v_k = sp.symbols("v_k", real=True)
    moment = moments(K)
    S1 = moment(1)
    pair_slope = 2 * (K * v_k - S1) + extra * v_k  # ∂/∂v_k of KΣv² − (Σv)²
    t, S2 = sp.symbols("t S2", real=True)
    energy = K * (S2 + 2 * t * v_k + t**2) - (S1 + t) ** 2  # v_k moved by t
    prove_zero(sp.diff(energy, t).subs(t, 0) + extra * v_k - pair_slope)
    prove_zero(sum_over(pair_slope, moment, v_k), because="the pairs' slopes add to zero")
    prove_zero(sp.diff((S1 + t) ** 2, t).subs(t, 0).subs(S1, 0), because="‖V1‖² is flat where V1 = 0")


def _optimiser(name: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if name == "adam":
        return torch.optim.Adam(parameters, lr=3e-3)
    return torch.optim.SGD(
        parameters, lr=0.03, momentum=0.9 if name == "momentum" else 0.0, weight_decay=1e-3
    )


@functools.lru_cache(maxsize=32)
def train_both(
    classes: int, optimiser: str, *, zero_sum: bool, steps: int = 12, seed: int = 0, weight: float = 0.1
) -> Tensor:
    """Train a small ReLU network twice, all layers, and return ‖θ_J − θ_C‖/‖θ_C‖ step by step: (steps,).

    Args:
        optimiser: "descent", "momentum" or "adam", the first two with weight decay.
        zero_sum: start with the last layer's columns centred.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(24, 6, generator=generator, dtype=torch.float64)
    y = torch.randint(classes, (24,), generator=generator)
    paths = []
    for which in range(2):
        network = networks.mlp(
            (6, 10, 8, classes), generator=torch.Generator().manual_seed(seed + 1)
        ).double()
        with torch.no_grad():
            W = last(network).weight
            W += 0.1  # Caffe's draws, and far from adding to zero
            if zero_sum:
                W -= W.mean(dim=0)
        parameters = list(network.parameters())
        steps_of = _optimiser(optimiser, parameters)
        path = []
        for _ in range(steps):
            steps_of.zero_grad()
            with torch.enable_grad():
                both_losses(network, images, y, weight)[which].backward()
            steps_of.step()
            path.append(torch.cat([part.detach().flatten() for part in parameters]))
        paths.append(torch.stack(path))
    return relative(paths[0] - paths[1], paths[1], axes=1)


def _descent(draw: Draw, problem: Problem, metric: Tensor) -> Tensor:
    """Forty steps of gradient descent with momentum on the last layer, from one random start."""
    W = start(draw, problem)
    velocity = torch.zeros_like(W)
    for _ in range(40):
        velocity = 0.8 * velocity + 0.02 * gradient(problem, W, metric)
        W = W - velocity
    return W


def _last_layer_excess(see: Callable[[Tensor], Tensor]) -> Callable[[Draw], Tensor]:
    def excess(draw: Draw) -> Tensor:
        problem = draw_problems(draw, 4)
        first, second = (_descent(draw, problem, metric) for metric in metrics(4))
        return relative(see(first) - see(second), see(second), axes=2)

    return excess


TRAJECTORIES = Claim(
    id="thm-equivalence-trajectories",
    where="new",
    title="from a zero-sum last layer both penalties train the same network",
    printed=(
        r"\sum_j\mathbf w_j=0 \text{ at the start} \implies \theta^J_t=\theta^C_t \text{ for all } t \text{ (all "
        r"layers, gradient descent and momentum)};\quad W^J_tC=W^C_tC \text{ from any start (last layer only)}"
    ),
    text=Text.NEW,
    hypotheses=(
        UNCONSTRAINED,
        ORDERED,
        "each step adds to W scalar multiples of earlier gradients and of W (Adam does not, but for K = 2)",
    ),
    depends=("thm-equivalence-stationary",),
    chapter=PAGE,
    derivation=Derivation(prove_conserved, lambda: prove_conserved(1), "a pull that does not add to zero"),
    checks=(
        Check(
            "K = 2: all layers, gradient descent",
            lambda draw: train_both(2, "descent", zero_sum=True, seed=draw.seed % 4),
            lambda draw: train_both(2, "descent", zero_sum=False, seed=draw.seed % 4),
            "a start that is not zero-sum",
        ),
        Check(
            "K = 4: all layers, momentum",
            lambda draw: train_both(4, "momentum", zero_sum=True, seed=draw.seed % 4),
            lambda draw: train_both(4, "momentum", zero_sum=False, seed=draw.seed % 4),
            "a start that is not zero-sum",
        ),
        Check(
            "Adam at K = 2",
            lambda draw: train_both(2, "adam", zero_sum=True, seed=draw.seed % 4),
            lambda draw: train_both(4, "adam", zero_sum=True, seed=draw.seed % 4),
            "Adam at K = 4",
            tolerance=1e-8,
        ),
        Check(
            "last layer only, any start: the centred weights",
            _last_layer_excess(centre),
            _last_layer_excess(lambda W: W),
            "the weights themselves",
        ),
    ),
)

# --- existence -------------------------------------------------------------------------


def prove_existence(sign: int = 1) -> None:
    """J is convex, and its curvature along δ is at least 2λ tr δᵀGδ: coercive but for ker G. Any K.

    The loss's share is ½ΣΣp_i p_j (t_i − t_j)², t = δᵀa. On ker G, Bδ = 0 gives δᵀa = δᵀBᵀx = 0:
    neither the loss nor the penalty moves. At λ = 0, K = 2, the loss along tδ with y δᵀa ≥ 0
    falls for ever.
    """
    p_i, p_j = sp.symbols("p_i p_j", positive=True)
    t_i, t_j = sp.symbols("t_i t_j", real=True)

    def moment(i: int, j: int) -> sp.Expr:
        return sp.S.One if (i, j) == (1, 0) else sp.Symbol(f"M{j}")

    pair = p_i * p_j * (t_i - sign * t_j) ** 2 / 2
    pairs = sum_over(sum_over(pair, moment, p_j, t_j), moment, p_i, t_i)
    prove_zero(moment(1, 2) - moment(1, 1) ** 2 - pairs, because="the variance is a sum of squares")
    prove_sign(pair, "nonnegative")
    t, margin = sp.symbols("t margin", positive=True)
    falling = -sp.diff(sp.log(1 + sp.exp(-t * margin)), t)
    prove_sign(falling.rewrite(sp.exp), "positive")


def _unique_excess(see: Callable[[Problem, Tensor], Tensor]) -> Callable[[Draw], Tensor]:
    """J's minimisers from two starts, through what the data see of them."""

    def excess(draw: Draw) -> Tensor:
        problem = draw_problems(draw, 3)
        W = start(draw, problem)
        found = [see(problem, minimise(problem, scale * W, metrics(3)[0])) for scale in (1.0, -2.0)]
        size = found[0].flatten(1).abs().amax(dim=1).clamp_min(1e-3)
        return (found[0] - found[1]).flatten(1).abs().amax(dim=1) / size

    return excess


def _unpenalised_excess(mirrored: bool) -> Callable[[Draw], Tensor]:
    """λ = 0 at K = 2: what the loss E L still falls by from W to 10W.

    Every feature comes with both labels (`mirrored`: then nothing separates them), or all
    labels follow one δ, along which W lies.
    """

    def excess(draw: Draw) -> Tensor:
        problem = draw_problems(draw, 2, units=3)
        problem = problem._replace(B=problem.B[1::4], a=problem.a[1::4], weight=problem.weight[1::4])
        delta = start(draw, problem)[..., :1]
        along = (problem.a @ delta).squeeze(-1)
        y = (along < 0).long()
        if mirrored:
            problem = problem._replace(
                a=torch.cat([problem.a, problem.a], dim=1), y=torch.cat([y, 1 - y], dim=1)
            )
        else:
            problem = problem._replace(y=y)
        W = torch.cat([delta, -delta], dim=-1)
        problem = problem._replace(c=torch.zeros(len(W), 1, 2).to(W))
        return problem.loss(W) - problem.loss(10 * W)

    return excess


EXISTENCE = Claim(
    id="thm-equivalence-existence",
    where="new",
    title="when minimisers exist and when they are unique",
    printed=(
        r"\lambda>0:\ \operatorname{argmin}J_\lambda\ne\emptyset, \text{ unique up to } \ker G;\qquad "
        r"\lambda=0,\,K=2:\ \operatorname{argmin}\ne\emptyset \iff \text{no } \boldsymbol\delta \text{ has } "
        r"y\,\boldsymbol\delta^T\mathbf a\ge0 \text{ everywhere and } >0 \text{ somewhere}"
    ),
    text=Text.NEW,
    hypotheses=("only the last layer is trained", "no biases, so that a(x) = Bᵀx", "finitely many samples"),
    depends=("remark-strong-convexity", "thm-equivalence-minimisers"),
    chapter=PAGE,
    derivation=Derivation(prove_existence, lambda: prove_existence(-1), "sums of a pair for its difference"),
    checks=(
        Check(
            "λ > 0: two starts, one minimiser, as far as the images see",
            _unique_excess(lambda problem, W: problem.B @ W.unsqueeze(1)),
            _unique_excess(lambda problem, W: W),
            "the weights themselves, where a unit is dead",
            tolerance=1e-8,
        ),
        Check(
            "λ = 0: the loss rises far out where nothing separates the labels",
            _unpenalised_excess(mirrored=True),
            _unpenalised_excess(mirrored=False),
            "separable labels: it falls for ever",
        ),
    ),
)

CLAIMS = (TRAJECTORIES, EXISTENCE)
