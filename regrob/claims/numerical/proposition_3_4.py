"""Proposition 3.4 in numbers: last layers are trained with the Jacobian and the cross-Lipschitz penalty.

Most checks train a last layer alone, many small problems at once, and Newton's method minimises their losses
J and C. The names a, B, W, c, J, C and M are those of `statements.proposition_3_4`.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob import networks
from regrob.affine.local_map import local_map
from regrob.claims import groups
from regrob.claims.check import Check
from regrob.claims.combinators import check, checked, on_networks
from regrob.claims.comparisons import relative
from regrob.claims.groups import Groups, joined
from regrob.claims.instances import Draw, Excess, Sample, signed
from regrob.claims.numerical.locally_affine import bias_free
from regrob.errors import ProofError, UnsuitableNetworkError
from regrob.theory import derivatives, penalties, probability

# --- last layers: random problems and their minimisers ---------------------------------


class Problem(NamedTuple):
    """T training problems of N images each, h features, K classes; everything float64.

    Attributes:
        a: (T, N, h), the features.
        B: (T, N, n, h), their Jacobian; a_i = B_iᵀx_i without biases.
        y: (T, N), labels.
        c: (T, 1, K), biases of the last layer, held fixed.
        weight: (T,), λ.
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

    def logits(self, W: Tensor) -> Tensor:
        """At W (T, h, K): (T, N, K)."""
        return self.a @ W + self.c

    def loss(self, W: Tensor) -> Tensor:
        """Mean cross-entropy: (T,)."""
        return functional.cross_entropy(self.logits(W).mT, self.y, reduction="none").mean(dim=1)

    def penalty(self, W: Tensor, penalty: penalties.Penalty) -> Tensor:
        """The mean over the images of a penalty of V = BW: (T,)."""
        return penalty(self.B @ W.unsqueeze(1), self.logits(W), self.y).mean(dim=1)

    def jacobian(self, W: Tensor) -> Tensor:
        """J: (T,)."""
        return self.loss(W) + self.weight * self.penalty(W, penalties.jacobian_penalty)

    def cross_lipschitz(self, W: Tensor, factor: float = 1.0) -> Tensor:
        """C, with ν² times `factor`: (T,)."""
        scale = factor * W.shape[-1] / 2 * self.weight
        return self.loss(W) + scale * self.penalty(W, penalties.cross_lipschitz_penalty)

    def column_sum(self, W: Tensor) -> Tensor:
        """E‖V1‖², how far the columns of V are from adding to zero: (T,)."""
        return (self.B @ W.sum(dim=-1)[:, None, :, None]).square().sum(dim=(2, 3)).mean(dim=1)


def random_problems(draw: Draw, classes: int, *, images: int = 12) -> Problem:
    """Problems without biases and with three features, the last of them dead in one of four: G is singular."""
    generator = torch.Generator().manual_seed(draw.seed)
    T, n, units = min(max(8, draw.trials // 10), 2000), 4, 3

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


def random_weights(draw: Draw, problem: Problem) -> Tensor:
    """W whose columns are far from adding to zero: (T, h, K)."""
    return draw.normal(*problem.gram.shape[:2], problem.c.shape[-1], stream=1) + 0.5


def centre(W: Tensor) -> Tensor:
    """W less its columns' mean."""
    return W - W.mean(dim=-1, keepdim=True)


def identity(classes: int) -> Tensor:
    """M = I, the metric of J: (K, K)."""
    return torch.eye(classes, dtype=torch.float64)


def centring(classes: int) -> Tensor:
    """M = I − 11ᵀ/K, the metric of C: (K, K)."""
    return identity(classes) - 1.0 / classes


def gradient(problem: Problem, W: Tensor, metric: Tensor) -> Tensor:
    """∂/∂W of E[L + λ tr(V M Vᵀ)]: (T, h, K)."""
    labels = functional.one_hot(problem.y, W.shape[-1])
    residual = torch.softmax(problem.logits(W), dim=-1) - labels
    slope = problem.a.mT @ residual / problem.y.shape[1]
    return slope + 2 * problem.weight[:, None, None] * problem.gram @ W @ metric


def minimise(problem: Problem, W: Tensor, metric: Tensor) -> Tensor:
    """A minimiser of E[L + λ tr(V M Vᵀ)] by Newton's method with shortened steps from W: (T, h, K).

    Directions that the objective does not see (ker G, and in C a vector added to every
    column) are left as they are at the start.

    Raises:
        ProofError: the gradient did not vanish, so that nothing was minimised.
    """
    T, h, K = W.shape
    values, vectors = torch.linalg.eigh(problem.gram)
    dead = values < 1e-9 * values[:, -1:]
    kernel = (vectors * dead.unsqueeze(1)) @ vectors.mT
    unseen = torch.einsum("tab,kl->takbl", kernel, torch.eye(K).to(W)) + torch.einsum(
        "ab,kl->akbl", torch.eye(h).to(W), torch.eye(K).to(W) - metric
    )
    fixed = 2 * torch.einsum("t,tab,kl->takbl", problem.weight, problem.gram, metric) + unseen

    for _ in range(60):
        g = gradient(problem, W, metric)
        if float(g.abs().amax()) < 1e-13:
            break
        p = torch.softmax(problem.logits(W), dim=-1)
        spread = (torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)) / p.shape[1]
        H = torch.einsum("tia,tib,tikl->takbl", problem.a, problem.a, spread) + fixed
        step = torch.linalg.solve(H.reshape(T, h * K, h * K), g.reshape(T, h * K)).reshape(T, h, K)
        trials = torch.stack([W - share * step for share in (1.0, 0.5, 0.2, 0.05, 0.01, 0.0)])
        # By the gradient's size, not by the loss: rounding hides the last eight digits of the loss.
        slopes = torch.stack([gradient(problem, trial, metric).norm(dim=(1, 2)) for trial in trials])
        W = trials[slopes.argmin(dim=0), torch.arange(T, device=W.device)]
    remaining = gradient(problem, W, metric).abs().amax()
    if not float(remaining) < 1e-9:
        raise ProofError(f"Newton's method left a gradient of {float(remaining):.1e}")
    return W


def random_minimiser(
    draw: Draw, metric: Callable[[int], Tensor], *, classes: int = 2
) -> tuple[Problem, Tensor]:
    """Random problems, and a minimiser of their J (`identity`) or C (`centring`)."""
    problem = random_problems(draw, classes)
    return problem, minimise(problem, random_weights(draw, problem), metric(classes))


# --- last layers of real networks ------------------------------------------------------


def split(network: nn.Module) -> tuple[nn.Sequential, nn.Linear]:
    """All layers but the last, and the last one; they share their weights with the network.

    Raises:
        UnsuitableNetworkError: the network does not end in a linear layer.
    """
    if not isinstance(network, nn.Sequential) or not isinstance(network[-1], nn.Linear):
        raise UnsuitableNetworkError("the network does not end in a linear layer")
    return nn.Sequential(*list(network)[:-1]), network[-1]


def last_layer_problem(sample: Sample) -> Problem:
    """The last layer of a real network on the sample's own images, λ = 0.1; T = 1."""
    body, final = split(sample.network)
    B, a = local_map(body, sample.images)
    c = torch.zeros(final.out_features) if final.bias is None else final.bias.detach()
    return Problem(a[None], B[None], sample.y[None], c.to(a).view(1, 1, -1), torch.full((1,), 0.1).to(a))


def with_last_layer(sample: Sample, W: Tensor) -> nn.Sequential:
    """The sample's network with other weights (h, K) in its last layer."""
    body, final = split(sample.network)
    replaced = nn.Linear(W.shape[0], W.shape[1], bias=final.bias is not None).to(W)
    replaced.weight.data.copy_(W.T)
    if final.bias is not None:
        replaced.bias.data.copy_(final.bias.data)
    return nn.Sequential(*body, replaced)


def on_last_layers(excess: Excess, classes: int = 2) -> Excess:
    """The excess over every sample network whose penalty sees all features that the loss sees.

    Where ker G hides a feature that the loss sees (a unit held up by its bias alone), a
    minimiser need not exist; such a network is passed over.
    """

    def over_last_layers(draw: Draw, *choice: object) -> Groups:
        values = []
        for sample in draw.samples(classes):
            if sample.head:  # it is replaced anyway
                continue
            problem = last_layer_problem(sample)
            sizes, vectors = torch.linalg.eigh(problem.gram[0])
            hidden = problem.a[0] @ vectors[:, sizes < 1e-9 * sizes[-1]]
            if not bool((hidden.abs() > 1e-9).any()):
                values.append((groups.of(classes, sample.kind), excess(sample, problem, *choice)))
        return joined(values)

    return over_last_layers


# --- Section 3.2: "strongly convex" ----------------------------------------------------


@checked("midpoints of random problems lie below by the modulus", wrong=2.0, mistake="twice the modulus")
def midpoint_excess(draw: Draw, share: float = 1.0) -> Tensor:
    """Second differences of J between random W's against `share` of 2λ·(least eigenvalue of G)‖δ‖²."""
    problem = random_problems(draw, 2, images=24)
    W, other = random_weights(draw, problem), random_weights(Draw(draw.trials, draw.seed + 7), problem)
    middle = problem.jacobian((W + other) / 2)
    gap = (problem.jacobian(W) + problem.jacobian(other)) / 2 - middle
    least: Tensor = torch.linalg.eigvalsh(problem.gram)[:, 0].clamp_min(0.0)
    required = problem.weight * least * (W - other).square().sum(dim=(1, 2)) / 4
    return (share * required - gap) / middle


STRONG = (midpoint_excess,)

# --- Section 3.2: Proposition 3.4 ------------------------------------------------------


def slope_at_C(draw: Draw, centred: bool = True, *, classes: int = 2) -> Tensor:
    """The largest entry of J's gradient at a minimiser of C, its columns centred or not: (T,)."""
    problem, W = random_minimiser(draw, centring, classes=classes)
    return gradient(problem, centre(W) if centred else W, identity(classes)).abs().amax(dim=(1, 2))


@checked(
    "a minimiser of J has zero-sum columns at every sample",
    wrong=centring,
    mistake="a minimiser of C",
    tolerance=1e-7,
)
def column_sum_at(draw: Draw, metric: Callable[[int], Tensor] = identity) -> Tensor:
    """The root mean square of ‖V1‖ over the images, at a minimiser of J or of C."""
    problem, W = random_minimiser(draw, metric)
    return problem.column_sum(W).sqrt()


@checked(
    "last layers of trained networks: the least J is the least C",
    wrong=centring,
    mistake="J at a minimiser of C",
)
@on_last_layers
def networks_gap(sample: Sample, problem: Problem, metric: Callable[[int], Tensor] = identity) -> Tensor:
    """J of a network with a minimiser in its last layer, by `local_map`, against the least C."""
    W = minimise(problem, random_weights(Draw(1, 3), problem), metric(2))
    V, z = local_map(with_last_layer(sample, W[0]), sample.images)
    penalty = penalties.jacobian_penalty(V, z, sample.y)
    J = (probability.loss(z, sample.y) + problem.weight * penalty).mean()
    least = problem.cross_lipschitz(minimise(problem, random_weights(Draw(1, 4), problem), centring(2)))
    return (J - least).abs() / least


PROP_3_4 = (
    check(
        "a minimiser of C, centred, minimises J",
        slope_at_C,
        wrong=False,
        mistake="not centred: Eq. (13) as printed",
        tolerance=1e-8,
    ),
    column_sum_at,
    networks_gap,
)

# --- Section 3.2: the gradient flow ----------------------------------------------------


def flow_gap(draw: Draw, factor: float = 1.0, *, shift: float = 0.0) -> Tensor:
    """How far gradient descent under C parts from that under J, from the paper's start on its data.

    `factor` multiplies λ in C; `shift` is added to both columns at the start.
    """
    generator = torch.Generator().manual_seed(draw.seed)
    T, points, n = min(max(8, draw.trials // 10), 1000), 40, 6
    y = torch.randint(2, (T, points), generator=generator)
    x = torch.randn(T, points, n, generator=generator, dtype=torch.float64)
    x[..., 1:] += 0.7 * (1.0 - 2.0 * y)[..., None]  # weakly correlated with the label
    x[..., 0] = x[..., 0].sign()  # not at all
    size = 3.0 * torch.rand(T, 1, generator=generator, dtype=torch.float64) + 0.1
    V = torch.stack([size, -size], dim=-1).repeat(1, n, 1) + shift
    V[:, 0] = 0.0
    B = torch.eye(n, dtype=torch.float64).expand(T, points, n, n)
    c = torch.zeros(T, 1, 2, dtype=torch.float64)
    problem = Problem(x, B, y, c, torch.full((T,), 0.3, dtype=torch.float64))
    first, second = V, V
    gap = torch.zeros(T, dtype=torch.float64)
    for _ in range(40):
        first = first - 0.1 * gradient(problem, first, identity(2))
        second = second - 0.1 * gradient(problem, second, factor * centring(2))
        gap = torch.maximum(gap, (first - second).norm(dim=(1, 2)) / V.norm(dim=(1, 2)))
    return gap


FLOW = (
    check(
        "forty steps of gradient descent from the paper's start",
        flow_gap,
        wrong=1.01,
        mistake="one per cent more weight on ν²",
    ),
    check(
        "and the start matters",
        lambda draw, shift=0.0: flow_gap(draw, shift=shift),
        wrong=0.05,
        mistake="both columns shifted a little",
    ),
)

# --- any number of classes: the identity (new) -----------------------------------------


def identity_error(sample: Sample, factor: float = 1.0) -> Tensor:
    """μ² from autograd's Jacobian against (K/2)ν² + ‖V1‖²/K, ν² times `factor`."""
    V = sample.autograd.jacobian
    classes = V.shape[-1]
    total = V.sum(dim=-1).square().sum(dim=-1)
    nu2 = penalties.cross_lipschitz_penalty(sample.map.V, sample.map.z, sample.y)
    mu2 = V.square().sum(dim=(1, 2))
    return (mu2 - factor * classes / 2 * nu2 - total / classes).abs() / mu2


IDENTITY = tuple(
    check(
        f"networks with K = {K}, autograd's Jacobian",
        on_networks(identity_error, K),
        wrong=1.001,
        mistake="one per mille more of ν²",
    )
    for K in (2, 3, 5)
)

# --- any number of classes: minimisers and stationary points (new) ---------------------


def gap_of_minima(draw: Draw, factor: float = 1.0, *, classes: int = 2, start: float = -2.0) -> Tensor:
    """The least J, found from W, against the least C with λ times `factor`, found from `start` times W."""
    problem = random_problems(draw, classes)
    W = random_weights(draw, problem)
    least = problem.jacobian(minimise(problem, W, identity(classes)))
    other = problem._replace(weight=factor * problem.weight)
    return (other.cross_lipschitz(minimise(other, start * W, centring(classes))) - least).abs() / least


MINIMISERS = (
    check(
        "K = 4: a minimiser of C, centred, minimises J",
        lambda draw, centred=True: slope_at_C(draw, centred, classes=4),
        wrong=False,
        mistake="not centred",
        tolerance=1e-8,
    ),
    check(
        "K = 3: the least values",
        lambda draw, factor=1.0: gap_of_minima(draw, factor, classes=3, start=-1.0),
        wrong=1.01,
        mistake="one per cent more of λKν²/2",
    ),
)


def both_losses(network: nn.Module, images: Tensor, y: Tensor, weight: float = 0.1) -> tuple[Tensor, Tensor]:
    """J and C of a real network, λ = `weight`, with the graph back to its weights."""
    V, z = local_map(network, images, create_graph=True, check=False)
    loss = functional.cross_entropy(z, y)
    jacobian = penalties.jacobian_penalty(V, z, y).mean()
    cross_lipschitz = penalties.cross_lipschitz_penalty(V, z, y).mean()
    return loss + weight * jacobian, loss + weight * z.shape[-1] / 2 * cross_lipschitz


def weight_gradient_gap(sample: Sample, _: Problem, zero_sum: bool = True) -> Tensor:
    """Gradients of J and of C in all layers' weights, with the last layer's columns centred or not."""
    W = split(sample.network)[1].weight.detach().T
    network = with_last_layer(sample, centre(W) if zero_sum else W)
    gradients = []
    with torch.enable_grad():
        for loss in both_losses(network, sample.images, sample.y):
            parts = torch.autograd.grad(
                loss, list(network.parameters()), retain_graph=True, materialize_grads=True
            )
            gradients.append(torch.cat([part.flatten() for part in parts]))
    J, C = gradients
    return relative(J - C, C, axes=1)


def common_shift_error(sample: Sample, problem: Problem, factor: float = 1.0) -> Tensor:
    """Autograd's Σ_k ∂J/∂w_k on a real network against 2λGΣ_j w_j."""
    W = split(sample.network)[1].weight.detach().T
    network = with_last_layer(sample, W)
    with torch.enable_grad():
        J, _ = both_losses(network, sample.images, sample.y)
        (slope,) = torch.autograd.grad(J, split(network)[1].weight)
    formula = factor * 0.2 * problem.gram[0] @ W.sum(dim=-1)
    return relative(slope.sum(dim=0) - formula, formula, axes=1)


STATIONARY = (
    check(
        "Σ_k ∂J/∂w_k = 2λGΣ_j w_j by autograd on networks",
        on_last_layers(common_shift_error, 3),
        wrong=0.99,
        mistake="one per cent less",
    ),
    check(
        "zero-sum columns: the gradients agree in all layers",
        on_last_layers(weight_gradient_gap, 3),
        wrong=False,
        mistake="columns that do not add to zero",
    ),
)

# --- any number of classes: training trajectories (new) --------------------------------


OptimiserFactory = Callable[[list[Tensor]], torch.optim.Optimizer]


DESCENT = functools.partial(torch.optim.SGD, lr=0.03, weight_decay=1e-3)

MOMENTUM = functools.partial(torch.optim.SGD, lr=0.03, momentum=0.9, weight_decay=1e-3)

ADAM = functools.partial(torch.optim.Adam, lr=3e-3)


def both_trainings(
    network: nn.Module,
    images: Tensor,
    y: Tensor,
    optimiser: OptimiserFactory,
    *,
    steps: int,
    weight: float = 0.1,
    last_layer_only: bool = False,
) -> Tensor:
    """Train copies of one network under J and under C: all trained weights after each step, (2, steps, M)."""
    paths = []
    for objective in range(2):  # J, C
        trained = copy.deepcopy(network)
        every: list[Tensor] = list(trained.parameters())
        parameters = [split(trained)[1].weight] if last_layer_only else every
        stepper = optimiser(parameters)
        path = []
        for _ in range(steps):
            stepper.zero_grad()
            with torch.enable_grad():
                both_losses(trained, images, y, weight)[objective].backward()
            stepper.step()
            path.append(torch.cat([part.detach().flatten() for part in parameters]))
        paths.append(torch.stack(path))
    return torch.stack(paths)


@functools.lru_cache(maxsize=32)
def training_gap(classes: int, optimiser: OptimiserFactory, zero_sum: bool, seed: int) -> Tensor:
    """Train all layers of a ReLU network under J and under C: ‖θ_J − θ_C‖/‖θ_C‖ after each step, (12,)."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(24, 6, generator=generator, dtype=torch.float64)
    y = torch.randint(classes, (24,), generator=generator)
    drawn = torch.Generator().manual_seed(seed + 1)
    network = networks.mlp((6, 10, 8, classes), generator=drawn).double()
    with torch.no_grad():
        W = split(network)[1].weight
        W += 0.1  # Caffe's draws, and far from adding to zero
        if zero_sum:
            W -= W.mean(dim=0)
    J, C = both_trainings(network, images, y, optimiser, steps=12)
    return relative(J - C, C, axes=1)


def momentum_descent(draw: Draw, problem: Problem, metric: Tensor) -> Tensor:
    """Forty steps of gradient descent with momentum on the last layer, from a random start."""
    W = random_weights(draw, problem)
    velocity = torch.zeros_like(W)
    for _ in range(40):
        velocity = 0.8 * velocity + 0.02 * gradient(problem, W, metric)
        W = W - velocity
    return W


@checked(
    "last layer only, any start: the centred weights", wrong=lambda W: W, mistake="the weights themselves"
)
def last_layer_gap(draw: Draw, view: Callable[[Tensor], Tensor] = centre) -> Tensor:
    """The same descent under J and under C, compared through `view` of the weights."""
    problem = random_problems(draw, 4)
    first, second = (view(momentum_descent(draw, problem, metric(4))) for metric in (identity, centring))
    return relative(first - second, second, axes=2)


TRAJECTORIES = (
    check(
        "K = 2: all layers, gradient descent",
        lambda draw, zero_sum=True: training_gap(2, DESCENT, zero_sum, draw.seed % 4),
        wrong=False,
        mistake="a start that is not zero-sum",
    ),
    check(
        "K = 4: all layers, momentum",
        lambda draw, zero_sum=True: training_gap(4, MOMENTUM, zero_sum, draw.seed % 4),
        wrong=False,
        mistake="a start that is not zero-sum",
    ),
    check(
        "Adam at K = 2",
        lambda draw, classes=2: training_gap(classes, ADAM, True, draw.seed % 4),
        wrong=4,
        mistake="Adam at K = 4",
        tolerance=1e-8,
    ),
    last_layer_gap,
)

# --- any number of classes: existence (new) --------------------------------------------


@checked(
    "λ > 0: two starts, one minimiser, as far as the images see",
    wrong=lambda problem, W: W,
    mistake="the weights themselves, where a unit is dead",
    tolerance=1e-8,
)
def two_starts_gap(
    draw: Draw, view: Callable[[Problem, Tensor], Tensor] = lambda problem, W: problem.B @ W.unsqueeze(1)
) -> Tensor:
    """J's minimisers from two starts, compared through `view` of the weights."""
    problem = random_problems(draw, 3)
    W = random_weights(draw, problem)
    first, second = (view(problem, minimise(problem, start * W, identity(3))) for start in (1.0, -2.0))
    size = first.flatten(1).abs().amax(dim=1).clamp_min(1e-3)
    return (first - second).flatten(1).abs().amax(dim=1) / size


@checked(
    "λ = 0: the loss rises far out where nothing separates the labels",
    wrong=False,
    mistake="separable labels: it falls for ever",
)
def unpenalised_fall(draw: Draw, mirrored: bool = True) -> Tensor:
    """λ = 0 at K = 2: what the loss E L still falls by from W to 10W.

    Every feature comes with both labels (`mirrored`: then nothing separates them), or all
    labels follow one δ, along which W lies.
    """
    problem = Problem(*(part[1::4] for part in random_problems(draw, 2)))  # one in four, with no dead feature
    delta = random_weights(draw, problem)[..., :1]
    a, y = problem.a, ((problem.a @ delta).squeeze(-1) < 0).long()
    if mirrored:
        a, y = torch.cat([a, a], dim=1), torch.cat([y, 1 - y], dim=1)
    problem = problem._replace(a=a, y=y)
    W = torch.cat([delta, -delta], dim=-1)
    return problem.loss(W) - problem.loss(10 * W)


EXISTENCE = (two_starts_gap, unpenalised_fall)

# --- Appendix D, Eqs. (26) and (27): the loss through one probability, one difference ---


def mean_loss_error(sample: Sample, formula: Tensor) -> Tensor:
    """A formula's mean loss over a network's images against that of autograd's own cross-entropy."""
    loss = sample.autograd.loss.mean()
    return (formula - loss).abs() / loss


@checked("the mean loss of networks", wrong=-1, mistake="the labels exchanged", tolerance=1e-9)
@on_networks
def eq_26_error(sample: Sample, swap: int = 1) -> Tensor:
    """The mean loss by Eq. (26), its labels times `swap`."""
    p, y = torch.softmax(sample.map.z, dim=-1), swap * signed(sample.y)
    return mean_loss_error(sample, -((1 + y) / 2 * p[:, 0].log() + (1 - y) / 2 * p[:, 1].log()).mean())


EQ_26 = (eq_26_error,)


@checked(
    "the loss of a network without biases, from autograd's Jacobian alone",
    wrong=lambda sample: not bias_free(sample),
    mistake="networks with biases",
    tolerance=1e-9,
)
def eq_27_error(draw: Draw, only: Callable[[Sample], bool] = bias_free) -> Groups:
    """The mean loss by Eq. (27), h(v₊ − v₋), on the networks that `only` admits."""

    def error(sample: Sample) -> Tensor:
        V = sample.autograd.jacobian
        margin = signed(sample.y) * ((V[..., 0] - V[..., 1]) * sample.images.flatten(1)).sum(dim=1)
        return mean_loss_error(sample, functional.softplus(-margin).mean())

    return draw.over_samples(error, 2, only=only)


EQ_27 = (eq_27_error,)

# --- Appendix D, Eqs. (28) and (29) ----------------------------------------------------


@checked("μ² of networks against autograd's two columns", wrong=2.02, mistake="1/2.02 for the halves")
@on_networks
def eq_28_error(sample: Sample, half: float = 2.0) -> Tensor:
    """μ² against (ν² + ‖v₊ + v₋‖²)/half from autograd's two columns."""
    V = sample.autograd.jacobian
    nu, total = V[..., 0] - V[..., 1], V[..., 0] + V[..., 1]
    right = (nu.square().sum(dim=-1) + total.square().sum(dim=-1)) / half
    return (right - derivatives.lipschitz_squared(sample.map.V)).abs() / right


EQ_28 = (eq_28_error,)


@checked(
    "the fall of the loss on random problems",
    wrong=lambda W: W - W.sum(dim=-1, keepdim=True),
    mistake="the columns' sum taken away, not their mean",
)
def fall_error(draw: Draw, move: Callable[[Tensor], Tensor] = centre) -> Tensor:
    """The fall of J from W to `move(W)` against ½λE‖v₊ + v₋‖²."""
    problem = random_problems(draw, 2)
    W = random_weights(draw, problem)
    before = problem.jacobian(W)
    fall = before - problem.jacobian(move(W))
    return (fall - 0.5 * problem.weight * problem.column_sum(W)).abs() / before


EQ_29 = (fall_error,)

# --- Appendix D, Eqs. (30), (31), (32): at the minimisers ------------------------------


def gap_of_losses(problem: Problem, W: Tensor, factor: float = 1.0) -> Tensor:
    """J(W) against C(W), ν² times `factor`."""
    J = problem.jacobian(W)
    return (J - problem.cross_lipschitz(W, factor)).abs() / J


@checked("Newton's minimisers of J", wrong=1.01, mistake="one per cent more of λ''")
def gap_at_J(draw: Draw, factor: float = 1.0) -> Tensor:
    """J against C, ν² times `factor`, at a minimiser of J."""
    return gap_of_losses(*random_minimiser(draw, identity), factor)


EQ_30 = (gap_at_J,)


@checked("Newton's minimisers of C, made symmetric", wrong=False, mistake="minimisers that are not symmetric")
def gap_at_C(draw: Draw, centred: bool = True) -> Tensor:
    """J against C at a minimiser of C, its columns centred or not."""
    problem, W = random_minimiser(draw, centring)
    return gap_of_losses(problem, centre(W) if centred else W)


EQ_31 = (gap_at_C,)

EQ_32 = (
    check(
        "the least values, by Newton's method on each",
        gap_of_minima,
        wrong=1.01,
        mistake="one per cent more of λ''",
    ),
)


# --- Appendix D: "strongly convex as well" ---------------------------------------------


@checked("second differences of l between random points", wrong=1.01, mistake="a modulus one per cent larger")
def l_midpoint_excess(draw: Draw, share: float = 1.0) -> Tensor:
    """`share` of the modulus 2λ'' against second differences of l; every other pair differs across the samples."""
    x, y = draw.normal(draw.trials, 12, 5), draw.normal(draw.trials, 12, stream=1).sign()
    x[..., -1] = 0.0  # no sample sees the last coordinate
    s, other = draw.normal(draw.trials, 5, stream=2), draw.normal(draw.trials, 5, stream=3)
    other[::2, :-1] = s[::2, :-1]
    weight = 0.1 + draw.uniform(draw.trials, stream=4)

    def loss(s: Tensor) -> Tensor:
        margins = y * (x @ s.unsqueeze(-1)).squeeze(-1)
        return functional.softplus(-margins).mean(dim=-1) + weight * s.square().sum(dim=-1)

    middle = loss((s + other) / 2)
    gap = (loss(s) + loss(other)) / 2 - middle
    required = weight * (s - other).square().sum(dim=-1) / 4
    return (share * required - gap) / middle


L_STRONG = (l_midpoint_excess,)


CHECKS: dict[str, tuple[Check, ...]] = {
    "remark-l-strongly-convex": L_STRONG,
    "remark-strong-convexity": STRONG,
    "prop-3.4": PROP_3_4,
    "remark-gradient-flow": FLOW,
    "thm-equivalence-identity": IDENTITY,
    "thm-equivalence-minimisers": MINIMISERS,
    "thm-equivalence-stationary": STATIONARY,
    "thm-equivalence-trajectories": TRAJECTORIES,
    "thm-equivalence-existence": EXISTENCE,
    "eq-26": EQ_26,
    "eq-27": EQ_27,
    "eq-28": EQ_28,
    "eq-29": EQ_29,
    "eq-30": EQ_30,
    "eq-31": EQ_31,
    "eq-32": EQ_32,
}
"""The checks of each claim, by its id."""
