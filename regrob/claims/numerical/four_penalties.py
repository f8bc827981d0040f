"""The four penalties in numbers: forms, chains and slopes against autograd; νγ of a trained network."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob import networks
from regrob.affine.local_map import local_map
from regrob.claims.check import Check
from regrob.claims.claim import Derivation
from regrob.claims.combinators import check, checked, on_instances, on_networks
from regrob.claims.comparisons import ratio_error, relative, violation
from regrob.claims.groups import Groups
from regrob.claims.instances import Draw, Instance, Sample, closed_form, length, unit
from regrob.claims.numerical.locally_affine import bias_free
from regrob.claims.statements.four_penalties import printed_44, printed_45
from regrob.data.datasets import Task, one_versus_seven
from regrob.errors import DataError, ProofError
from regrob.theory import derivatives, penalties, probability, taylor_radius
from regrob.theory.margin import margin_l2
from regrob.theory.penalties import CURVATURE_PEAK, INPUT_GRADIENT_PEAK
from regrob.training.single import train

# --- the eigenvector and Eq. (11) ------------------------------------------------------


@checked("H∇ = ‖H‖₂∇ with autograd's ∇ and H", wrong=3, mistake="three classes")
def eigenvector_error(draw: Draw, classes: int = 2) -> Groups:
    """H∇ against ‖H‖₂∇, both by autograd."""

    def error(sample: Sample) -> Tensor:
        g, H = sample.autograd.gradient, sample.autograd.hessian
        image = (H @ g.unsqueeze(-1)).squeeze(-1)
        largest = torch.linalg.matrix_norm(H, 2)[:, None]
        return relative(image - largest * g, largest * g, axes=1) / sample.noise

    return draw.over_samples(error, classes)


EIGENVECTOR = (eigenvector_error,)


def eq_11_check(name: str) -> Check:
    """Autograd's value of a quantity against its closed form in p_y and ν."""

    def residual(sample: Sample, factor: float = 1.0) -> Tensor:
        p = probability.label_probability(sample.map.z, sample.y)
        q = probability.rival_probability(sample.map.z, sample.y)
        nu2 = derivatives.cross_lipschitz(sample.map.V).square()
        _, J, g, H = sample.autograd
        measured, formula = {
            "‖∇‖₂²": (g.square().sum(dim=-1), q.square() * nu2),
            "‖H‖₂": (torch.linalg.matrix_norm(H, 2), p * q * nu2),
            "‖H‖_F": (torch.linalg.matrix_norm(H), p * q * nu2),
            "‖J‖_F²": (J.square().sum(dim=(1, 2)), derivatives.lipschitz_squared(sample.map.V)),
        }[name]
        error: Tensor = (factor * formula - measured).abs() / measured / sample.noise
        return error

    return check(f"{name} by autograd", on_networks(residual), wrong=1.001, mistake="one per mille more")


EQ_11 = tuple(eq_11_check(name) for name in ("‖∇‖₂²", "‖H‖₂", "‖H‖_F", "‖J‖_F²"))

# --- what μ and ν are ------------------------------------------------------------------


@checked(
    "one linear layer: autograd's gradient of ‖J‖_F² in W", wrong=2.002, mistake="one per mille more decay"
)
def decay_error(draw: Draw, factor: float = 2.0) -> Tensor:
    """The gradient of the Jacobian penalty, J by autograd, against 2W."""
    W, x = (
        draw.normal(draw.trials, *shape, stream=i).requires_grad_() for i, shape in enumerate([(5, 3), (5,)])
    )
    bias = draw.normal(draw.trials, 3, stream=2)
    with torch.enable_grad():
        z = (x.unsqueeze(-2) @ W).squeeze(-2) + bias
        rows = [torch.autograd.grad(z[:, k].sum(), x, create_graph=True)[0] for k in range(3)]
        (gradient,) = torch.autograd.grad(torch.stack(rows).square().sum(), W)
    return relative(gradient - factor * W.detach(), W.detach(), axes=2)


DECAY = (decay_error,)


def stretching(V: Tensor) -> Tensor:
    """The direction in which Vᵀ stretches most, a unit vector: (T, n)."""
    left: Tensor = torch.linalg.svd(V, full_matrices=False).U
    return left[..., 0]


def lipschitz_violation(draw: Draw, factor: float = 1.0) -> Tensor:
    """‖Vᵀr‖ ≤ ‖V‖_F‖r‖ where Vᵀ stretches most; equality where V has rank one, as some instances do."""

    def excess(instance: Instance) -> Tensor:
        r = stretching(instance.V)
        change = (instance.V.mT @ r.unsqueeze(-1)).squeeze(-1)
        return violation(length(change), factor * instance.lipschitz)

    return torch.cat([excess(draw.instances(classes)) for classes in (2, 4)])


def network_stretch(sample: Sample, factor: float = 1.0) -> Tensor:
    """The network's own change over a small step where Vᵀ stretches most, against ‖V‖₂ times the step."""
    r = sample.step * stretching(sample.map.V)
    moved = sample.network(sample.images + r.view_as(sample.images)) - sample.network(sample.images)
    return ratio_error(length(moved.detach()), factor * sample.step * sample.instance.spectral_norm)


LIPSCHITZ = (
    check(
        "‖Vᵀr‖ ≤ ‖V‖_F‖r‖",
        lipschitz_violation,
        wrong=0.99,
        mistake="a constant one per cent smaller",
        tolerance=1e-12,
    ),
    check(
        "networks stretch a small step by ‖V‖₂ at most",
        on_networks(network_stretch, 2, 3),
        wrong=1.001,
        mistake="one per mille more",
        tolerance=1e-5,
    ),
)


@checked("networks: the lead's change along s", wrong=1.001, mistake="one per mille more", tolerance=1e-5)
@on_networks
def lead_stretch(sample: Sample, factor: float = 1.0) -> Tensor:
    """The change of z₊ − z₋ over a small step along s, against ν times the step."""
    r = sample.step * unit(sample.instance.s)
    moved = sample.network(sample.images + r.view_as(sample.images)) - sample.network(sample.images)
    lead = (moved[:, 0] - moved[:, 1]).detach()
    return ratio_error(lead, factor * sample.step * derivatives.cross_lipschitz(sample.map.V))


CROSS_LIPSCHITZ = (lead_stretch,)

# --- the chain and Eq. (12) ------------------------------------------------------------


def worst_link(gradient: Tensor, curvature: Tensor, jacobian: Tensor, half: float = 2.0) -> Tensor:
    """The larger relative violation of ‖∇‖₂² ≤ ‖H‖₂ ≤ ‖V‖_F²/half, given the three penalties."""
    first = (gradient - curvature) / curvature
    return torch.maximum(first, (curvature - jacobian / half) / jacobian)


def chain_violation(draw: Draw, correct: bool = True, *, half: float = 2.0) -> Tensor:
    """The chain on bare instances."""
    instance = draw.instances(2, correct=correct)
    g2 = instance.gradient.square().sum(dim=-1)
    h = derivatives.curvature(instance.V, instance.z)
    return worst_link(g2, h, derivatives.lipschitz_squared(instance.V), half)


@checked("both links with autograd's J, ∇ and H", wrong=False, mistake="misclassified points")
@on_networks
def chain_violation_by_autograd(sample: Sample, correct: bool = True) -> Tensor:
    """The chain at a network's correctly classified images, or at the others."""
    g2 = sample.autograd.gradient.square().sum(dim=-1)
    h = torch.linalg.matrix_norm(sample.autograd.hessian, 2)
    mu2 = sample.autograd.jacobian.square().sum(dim=(1, 2))
    violation = worst_link(g2, h, mu2) / sample.noise
    return violation[probability.correctly_classified(sample.map.z, sample.y) == correct]


CHAIN = (
    check("both links, correctly classified", chain_violation, wrong=False, mistake="random labels"),
    check(
        "the second link's constant",
        lambda draw, half=2.0: chain_violation(draw, True, half=half),
        wrong=2.02,
        mistake="1/2.02 in place of 1/2",
    ),
    chain_violation_by_autograd,
)


def eq_12_violation(V: Tensor, factor: float) -> Tensor:
    """The larger of the two links' violations over μ², with the inner product times `factor`."""
    nu2, mu2 = derivatives.cross_lipschitz(V).square(), derivatives.lipschitz_squared(V)
    middle = mu2 / 2 + factor * (V[..., 0] * V[..., 1]).sum(dim=-1).abs()
    return torch.maximum(nu2 / 2 - middle, middle - mu2) / mu2


EQ_12 = (
    check(
        "both links, random V",
        on_instances(lambda instance, factor=1.0: eq_12_violation(instance.V, factor)),
        wrong=1.01,
        mistake="1.01 times the inner product",
    ),
    check(
        "both links on networks",
        on_networks(lambda sample, factor=1.0: eq_12_violation(sample.autograd.jacobian, factor)),
        wrong=1.01,
        mistake="1.01 times the inner product",
    ),
)

# --- Figure 3: which confidence each penalty looks at, in p_y and in m -----------------


def derivative(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """d function / d at, one number an entry, by autograd."""
    at = at.detach().requires_grad_(True)
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(function(at).sum(), at)
    return slope


def curvature_factor(m: Tensor) -> Tensor:
    """p_y(1 − p_y) at the logit margin m."""
    return torch.sigmoid(m) * torch.sigmoid(-m)


@checked("autograd's slopes at two values of p", wrong=0.0, mistake="p below 1/2 too")
def slopes_violation(draw: Draw, low: float = 0.5) -> Tensor:
    """(1 − p)² must be less steep at the larger of two p in (low, 1), p(1 − p) at the smaller."""
    p = low + (1 - low) * draw.uniform(2, draw.trials)
    less, more = p.sort(dim=0).values

    def steepness(term: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
        return derivative(term, at).abs()

    falls = steepness(lambda p: (1 - p) ** 2, more) - steepness(lambda p: (1 - p) ** 2, less)
    grows = steepness(lambda p: p * (1 - p), less) - steepness(lambda p: p * (1 - p), more)
    return torch.maximum(falls, grows)


SLOPES = (slopes_violation,)


@checked(
    "raising the margin lowers the penalty, where p_y > 1/2", wrong=False, mistake="misclassified points"
)
def reward_violation(draw: Draw, correct: bool = True) -> Tensor:
    """d‖H‖₂/dm at fixed ν: positive where a larger margin costs more."""
    m = draw.instances(2, correct=correct, high=8.0).m
    m = m if correct else -m.abs()
    return derivative(curvature_factor, m) / curvature_factor(m)


REWARD = (reward_violation,)


@checked("no margin is steeper", wrong=0.77, mistake="a peak at p = 0.77")
def peak_violation(draw: Draw, p_best: float = (3 + 3**0.5) / 6) -> Tensor:
    """By how much the slope anywhere is steeper than at the claimed peak."""
    m = 12 * (torch.arange(draw.trials, dtype=torch.float64) + draw.uniform(draw.trials)) / draw.trials
    best = torch.tensor([math.log(p_best / (1 - p_best))], dtype=torch.float64)
    return derivative(curvature_factor, m).abs() / derivative(curvature_factor, best).abs() - 1


PEAK = (peak_violation,)

# --- Appendix G: Eqs. (44), (45) -------------------------------------------------------


def gradient_slope(t: Tensor) -> Tensor:
    """Eq. (44) over ν, at νγ = t."""
    slope: Tensor = printed_44(t, 1, torch.exp)
    return slope


def curvature_slope(t: Tensor) -> Tensor:
    """Eq. (45) over ν, at νγ = t."""
    slope: Tensor = printed_45(t, 1, torch.exp)
    return slope


def curvature_by_eigenvalue(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """‖H‖₂ from the n×n matrix itself."""
    largest: Tensor = torch.linalg.eigvalsh(derivatives.hessian(V, z))[..., -1]
    return largest


def scaling_error(
    draw: Draw, penalty: penalties.Penalty, claimed: Callable[[Tensor], Tensor], *, correct: bool
) -> Tensor:
    """Scale a bias-free classifier by t and differentiate in t: ν ∂/∂ν, at γ fixed.

    `claimed` is the claimed ν ∂/∂ν of the penalty over ν², as a function of νγ = |m|.
    """
    V, z, y = draw.instances(2, high=6.0)
    y = y if correct else 1 - y
    nu = derivatives.cross_lipschitz(V)
    # Autograd's softmax loses 1/q, differences of large columns lose ‖V‖/ν.
    noise = V.abs().amax(dim=(1, 2)) / nu / probability.rival_probability(z, z.argmax(dim=-1))
    V = V / nu[:, None, None]  # in units of ν: the same γν
    t = torch.ones(y.shape, dtype=torch.float64)
    measured = derivative(lambda t: penalty(t[:, None, None] * V, t[:, None] * z, y), t)
    error = (measured - claimed(probability.logit_margin(z, y).abs())).abs()
    return error / (measured.abs() + penalty(V, z, y)) / (1 + noise)


def eq_44_error(sample: Sample, correct: bool = True) -> Tensor:
    """Scale a bias-free network's logits by t and let autograd differentiate ‖∇_x L‖² in t."""
    right = probability.correctly_classified(sample.map.z, sample.y)
    images, y = sample.images[right], sample.y[right] if correct else 1 - sample.y[right]
    t = torch.ones(y.shape, dtype=torch.float64, requires_grad=True)
    x = images.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        loss = functional.cross_entropy(t[:, None] * sample.network(x), y, reduction="sum")
        (g,) = torch.autograd.grad(loss, x, create_graph=True)
        penalty = g.flatten(1).square().sum(dim=1)
        (measured,) = torch.autograd.grad(penalty.sum(), t)
    nu2 = derivatives.cross_lipschitz(sample.autograd.jacobian[right]).square()
    claimed = nu2 * gradient_slope(probability.logit_margin(sample.map.z[right], y).abs())
    return (measured - claimed).abs() / (measured.abs() + penalty.detach())


EQ_44 = (
    check(
        "autograd in the scale of random classifiers",
        lambda draw, correct=True: scaling_error(
            draw, penalties.input_gradient_penalty, gradient_slope, correct=correct
        ),
        wrong=False,
        mistake="misclassified points",
    ),
    check(
        "autograd through a network without biases",
        on_networks(eq_44_error, only=bias_free),
        wrong=False,
        mistake="misclassified points",
    ),
)

EQ_45 = (
    check(
        "autograd in the scale of random classifiers, any label",
        lambda draw, penalty=curvature_by_eigenvalue: scaling_error(
            draw, penalty, curvature_slope, correct=False
        ),
        wrong=penalties.input_gradient_penalty,
        mistake="the other penalty",
    ),
)

# --- Appendix G: the critical points ---------------------------------------------------


def critical_violation(draw: Draw, at: float, slope: Callable[[Tensor], Tensor]) -> Tensor:
    """Rising up to the critical point, falling after it: the sign of the slope on either side."""
    u = draw.uniform(draw.trials)
    before, after = at * (1 - u), at * (1 + 20 * u)
    scale = (1 + after) * torch.exp(-after)
    return torch.maximum(-slope(before), slope(after) / scale)


CRITICAL = (
    check(
        "(44) changes sign there, once",
        lambda draw, at=INPUT_GRADIENT_PEAK: critical_violation(draw, at, gradient_slope),
        wrong=1.1 * INPUT_GRADIENT_PEAK,
        mistake="a tenth more",
    ),
    check(
        "(45) changes sign there, once",
        lambda draw, at=CURVATURE_PEAK: critical_violation(draw, at, curvature_slope),
        wrong=1.1 * CURVATURE_PEAK,
        mistake="a tenth more",
    ),
)

# --- Appendix G: the Taylor radius as ν grows (new) ------------------------------------


def growth_violation(instance: Instance, sign: int = 1) -> Tensor:
    """Scale V and z of an instance: the Taylor radius must grow, the true margin must stay."""
    scaled = closed_form(2 * instance.V, 2 * instance.z, instance.y)
    grown = sign * (1 - taylor_radius.radius_l2(*scaled) / taylor_radius.radius_l2(*instance))
    moved = (margin_l2(*scaled) / margin_l2(*instance) - 1).abs()
    return torch.maximum(grown, moved)


GROWTH = (
    check(
        "twice the scale, a larger radius, the same margin",
        on_instances(growth_violation, low=0.3, high=8.0),
        wrong=-1,
        mistake="a smaller one",
    ),
)

# --- Appendix G: what νγ is, and what a small loss says about it (new) -----------------


def nu_gamma(V: Tensor, images: Tensor) -> Tensor:
    """νγ = |(v₊ − v₋)ᵀx|: (N,)."""
    return ((V[..., 0] - V[..., 1]) * images.flatten(1)).sum(dim=1).abs()


@checked(
    "|sᵀx| from autograd's Jacobian against the logit of autograd's p_y",
    wrong=lambda sample: not bias_free(sample),
    mistake="networks with biases",
    tolerance=1e-9,
)
def confidence_error(draw: Draw, only: Callable[[Sample], bool] = bias_free) -> Groups:
    """νγ against |log(p_y/(1 − p_y))| on the networks that `only` admits, both by autograd."""

    def error(sample: Sample) -> Tensor:
        visible = sample.autograd.loss > 1e-12  # beyond, float64 has lost the odds
        logit = sample.autograd.loss[visible].expm1().log().abs()  # (1 − p)/p = e^L − 1
        return (nu_gamma(sample.autograd.jacobian, sample.images)[visible] - logit).abs() / logit

    return draw.over_samples(error, 2, only=only)


CONFIDENCE = (confidence_error,)


@checked("batches of random margins, right and wrong", wrong=0.99, mistake="one per cent less loss")
def jensen_violation(draw: Draw, factor: float = 1.0) -> Tensor:
    """Batches of random margins, right and wrong: mean|m| against the bound from the mean loss."""
    generator = torch.Generator().manual_seed(draw.seed)
    size = torch.exp(2 * torch.randn(draw.trials, 1, generator=generator, dtype=torch.float64) - 1)
    size = size.clamp_max(30)  # beyond, every loss of a batch may underflow
    shift = 3 * size * torch.rand(draw.trials, 1, generator=generator, dtype=torch.float64)
    m = shift + size * torch.randn(draw.trials, 20, generator=generator, dtype=torch.float64)
    loss = factor * functional.softplus(-m).mean(dim=1)
    bound = -loss - torch.log(-torch.expm1(-loss))  # −log(e^L − 1)
    return (bound - m.abs().mean(dim=1)) / (1 + bound.abs())


JENSEN = (jensen_violation,)

# --- Appendix G: νγ of trained networks ------------------------------------------------


class Confidence(NamedTuple):
    """νγ over a network's training points.

    Attributes:
        mean: its average.
        below: shares of points at or below the critical points 1.28 and 2.40.
        nu: the average of ν.
    """

    mean: float
    below: tuple[float, float]
    nu: float


def measure(network: nn.Module, task: Task) -> Confidence:
    """νγ and ν of the first 400 training points, from the network's own local maps."""
    images = task.train_images[:400]
    V, _ = local_map(network, images, check=False)
    values = nu_gamma(V, images)
    first, second = (
        float((values <= critical).float().mean()) for critical in (INPUT_GRADIENT_PEAK, CURVATURE_PEAK)
    )
    return Confidence(float(values.mean()), (first, second), float(derivatives.cross_lipschitz(V).mean()))


def ones_and_sevens() -> Task:
    """The digits; two Gaussian clouds where none are installed."""
    try:
        return one_versus_seven()
    except DataError:
        generator = torch.Generator().manual_seed(0)
        labels = torch.randint(2, (1200,), generator=generator)
        images = 0.5 + 0.05 * (2.0 * labels[:, None] - 1) + 0.2 * torch.randn(1200, 784, generator=generator)
        images = images.reshape(-1, 1, 28, 28)
        return Task("clouds", ("0", "1"), images[:1000], labels[:1000], images[1000:], labels[1000:], "")


@functools.lru_cache(maxsize=1)
def train_and_measure(iterations: int = 300) -> tuple[Confidence, Confidence]:
    """LeNet-300-100, plainly trained, then briefly with a cross-Lipschitz penalty: νγ before and after.

    Raises:
        ProofError: most points do not lie beyond both critical points, or the penalty does
            not make νγ and ν smaller.
    """
    task = ones_and_sevens()
    network = networks.lenet_300_100(2, generator=torch.Generator().manual_seed(0))
    if iterations:
        train(network, task, iterations=iterations, seed=0)
    before = measure(network, task)
    if before.mean < CURVATURE_PEAK or max(before.below) > 0.5:
        raise ProofError(f"νγ is {before.mean:.3f} on average, at or below 1.28 for {before.below[0]:.0%}")
    train(network, task, iterations=50, penalty="cross-lipschitz", weight=0.1, seed=1)
    after = measure(network, task)
    if after.mean > before.mean or after.nu > before.nu:
        raise ProofError(f"νγ went from {before.mean:.3f} to {after.mean:.3f} under the penalty")
    return before, after


CHECKS: dict[str, tuple[Check, ...]] = {
    "remark-gradient-eigenvector": EIGENVECTOR,
    "eq-11": EQ_11,
    "remark-lipschitz-constant": LIPSCHITZ,
    "remark-cross-lipschitz-constant": CROSS_LIPSCHITZ,
    "remark-weight-decay": DECAY,
    "chain-binary": CHAIN,
    "eq-12": EQ_12,
    "remark-fig3-slopes": SLOPES,
    "remark-curvature-confidence": REWARD,
    "thm-curvature-peak": PEAK,
    "eq-44": EQ_44,
    "eq-45": EQ_45,
    "remark-critical-points": CRITICAL,
    "thm-radius-and-nu": GROWTH,
    "thm-critical-confidence": CONFIDENCE,
    "thm-loss-bounds-confidence": JENSEN,
    "remark-nu-gamma": JENSEN,
}
"""The checks of each claim, by its id."""

EXPERIMENTS = {
    "remark-nu-gamma": Derivation(
        (train_and_measure,), lambda: train_and_measure(0), "an untrained network", experiment=True
    )
}
"""Where a claim has no derivation: a training that stands in its place, by the claim's id."""
