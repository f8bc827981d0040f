"""Appendix G: what νγ is, what a small loss says about it, and what it is on trained networks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import sympy as sp
import torch
from torch import Tensor
from torch.nn.functional import softplus

from regrob import networks
from regrob.affine.local_map import local_map
from regrob.claims.claim import Check, Claim, Counterexample, Derivation, Evidence, Text, Verdict
from regrob.claims.instances import Draw, Sample
from regrob.claims.statements.confidence import CRITICAL_CURVATURE, CRITICAL_GRADIENT
from regrob.claims.statements.locally_affine import bias_free
from regrob.data.datasets import Task, one_versus_seven
from regrob.errors import DataError, ProofError
from regrob.symbols import prove_sign, prove_zero
from regrob.theory import derivatives
from regrob.training.single import train

CHAPTER = "book/four_penalties"


# --- what νγ is (new) ------------------------------------------------------------------


def prove_confidence(sign: int = 1) -> None:
    """log(p/(1 − p)) = γν for p = 1/(1 + e^{−γν}): the conditions are about p_y alone.

    At t = 1 + W(1/e) the probability is 1/t, since e^{−t} = W(1/e); so both numbers follow.
    """
    t = sp.symbols("t", positive=True)
    p = 1 / (1 + sp.exp(-t))
    prove_zero(sp.simplify(p / (1 - p)) - sp.exp(sign * t), because="the odds are e^{γν}")
    prove_sign(sp.diff(p, t), "positive")
    for critical, shown in ((CRITICAL_GRADIENT, 0.7822), (CRITICAL_CURVATURE, 0.9168)):
        found = float(p.subs(t, critical))
        if round(found, 4) != shown:
            raise ProofError(f"the condition νγ ≤ {critical:.4f} means p_y ≤ {found:.4f}, not {shown}")


def _confidence_excess(wanted: bool) -> Callable[[Draw], Tensor]:
    def one(s: Sample) -> Tensor:
        V = s.autograd.jacobian
        along = ((V[..., 0] - V[..., 1]) * s.images.flatten(1)).sum(dim=1).abs()  # νγ
        visible = s.autograd.loss > 1e-12  # beyond, float64 has lost the odds
        along, loss = along[visible], s.autograd.loss[visible]
        logit = loss.expm1().log().abs()  # (1 − p)/p = e^L − 1
        return (along - logit).abs() / logit

    return lambda draw: torch.cat([one(s) for s in draw.samples(2) if bias_free(s) is wanted])


CONFIDENCE = Claim(
    id="thm-critical-confidence",
    where="new, on Appendix G",
    title="νγ is the confidence, so the conditions are p_y ≤ 0.7822 and p_y ≤ 0.9168",
    printed=(
        r"\nu\gamma = \left|\log\frac{p_y}{1-p_y}\right|,\qquad \nu\gamma\le1+W(1/e) \iff "
        r"p_y\le0.7822 \text{ (to four digits; correctly classified)},\quad \nu\gamma\le2.3994 \iff "
        r"p_y\le0.9168"
    ),
    text=Text.NEW,
    hypotheses=("K = 2", "no biases", "γ = |w̌ᵀx|", "p_y > 1/2 for the two equivalences"),
    depends=("eq-3", "remark-critical-points"),
    chapter=CHAPTER,
    derivation=Derivation(prove_confidence, lambda: prove_confidence(-1), "the odds upside down"),
    checks=(
        Check(
            "|sᵀx| from autograd's Jacobian against the logit of autograd's p_y",
            _confidence_excess(True),
            _confidence_excess(False),
            "networks with biases",
            tolerance=1e-9,
        ),
    ),
)

# --- trained networks ------------------------------------------------------------------


class Reach(NamedTuple):
    """νγ = |sᵀx| over a network's training points.

    Attributes:
        mean: its average.
        below: shares of points at or below the critical points 1.28 and 2.40.
        nu: the average of ν.
        loss: mean cross-entropy, nats.
    """

    mean: float
    below: tuple[float, float]
    nu: float
    loss: float


def measure(network: torch.nn.Module, task: Task, *, points: int = 400) -> Reach:
    """νγ and ν of the first training points, from the network's own local maps."""
    images, labels = task.train_images[:points], task.train_labels[:points]
    V, z = local_map(network, images, check=False)
    along = ((V[..., 0] - V[..., 1]) * images.flatten(1)).sum(dim=1).abs()
    share = tuple(float((along <= c).float().mean()) for c in (CRITICAL_GRADIENT, CRITICAL_CURVATURE))
    loss = float(torch.nn.functional.cross_entropy(z, labels))
    return Reach(
        float(along.mean()), (share[0], share[1]), float(derivatives.cross_lipschitz(V).mean()), loss
    )


def _task() -> Task:
    """Ones and sevens; two Gaussian clouds where no digits are installed."""
    try:
        return one_versus_seven()
    except DataError:
        generator = torch.Generator().manual_seed(0)
        labels = torch.randint(2, (1200,), generator=generator)
        images = 0.5 + 0.05 * (2.0 * labels[:, None] - 1) + 0.2 * torch.randn(1200, 784, generator=generator)
        images = images.reshape(-1, 1, 28, 28)
        return Task("clouds", ("0", "1"), images[:1000], labels[:1000], images[1000:], labels[1000:], "")


@functools.lru_cache(maxsize=1)
def experiment(iterations: int = 300) -> tuple[Reach, Reach]:
    """LeNet-300-100, plainly trained, then briefly with a cross-Lipschitz penalty.

    Returns νγ before and after the penalty.

    Raises:
        ProofError: most points do not lie beyond both critical points, or the penalty does
            not make νγ and ν smaller.
    """
    task = _task()
    network = networks.lenet_300_100(2, generator=torch.Generator().manual_seed(0))
    if iterations:
        train(network, task, iterations=iterations, seed=0)
    before = measure(network, task)
    if before.mean < CRITICAL_CURVATURE or max(before.below) > 0.5:
        raise ProofError(f"νγ is {before.mean:.3f} on average, at or below 1.28 for {before.below[0]:.0%}")
    train(network, task, iterations=50, penalty="cross-lipschitz", weight=0.1, seed=1)
    after = measure(network, task)
    if after.mean > before.mean or after.nu > before.nu:
        raise ProofError(f"νγ went from {before.mean:.3f} to {after.mean:.3f} under the penalty")
    return before, after


def counterexample_mean() -> Counterexample:
    """A mean loss of 1/10 nat forces a mean νγ of at least −log(e^{1/10} − 1) = 2.25."""
    return Counterexample(
        r"\text{a network without biases, mean loss } \tfrac1{10}: \ \text{the least possible mean } "
        r"\nu\gamma \text{ against } \tfrac1{1000}",
        -sp.log(sp.exp(sp.Rational(1, 10)) - 1),
        "<=",
        sp.Rational(1, 1000),
    )


def prove_jensen(sign: int = 1) -> None:
    """softplus(−m) is convex and falls: mean loss ≥ softplus(−mean|m|), which then is inverted."""
    m = sp.symbols("m", real=True)
    loss = sp.symbols("loss", positive=True)
    f, e = sp.log(1 + sp.exp(-m)), sp.exp(-m)
    prove_sign(sp.diff(f, m, 2), "positive", certificate=e / (1 + e) ** 2)
    prove_sign(-sign * sp.diff(f, m), "positive", certificate=sign * e / (1 + e))
    prove_zero(sp.exp(f).subs(m, -sp.log(sp.exp(loss) - 1)) - sp.exp(loss), because="the inverse")


def _jensen_excess(factor: float) -> Callable[[Draw], Tensor]:
    """Batches of random margins, right and wrong: mean|m| against the bound from the mean loss."""

    def excess(draw: Draw) -> Tensor:
        generator = torch.Generator().manual_seed(draw.seed)
        size = torch.exp(2 * torch.randn(draw.trials, 1, generator=generator, dtype=torch.float64) - 1)
        size = size.clamp_max(30)  # beyond, every loss of a batch may underflow
        shift = 3 * size * torch.rand(draw.trials, 1, generator=generator, dtype=torch.float64)
        m = shift + size * torch.randn(draw.trials, 20, generator=generator, dtype=torch.float64)
        loss = factor * softplus(-m).mean(dim=1)
        bound = -loss - torch.log(-torch.expm1(-loss))  # −log(e^L − 1)
        return (bound - m.abs().mean(dim=1)) / (1 + bound.abs())

    return excess


JENSEN = Claim(
    id="thm-loss-bounds-confidence",
    where="new, on Appendix G",
    title="a small loss forces a large νγ",
    printed=r"\overline{\nu\gamma} \ge -\log(e^{\overline{\mathcal L}}-1) \text{ over any set of points}",
    text=Text.NEW,
    hypotheses=("K = 2", "no biases, so that νγ = |m|", "any labels"),
    depends=("thm-critical-confidence",),
    chapter=CHAPTER,
    derivation=Derivation(prove_jensen, lambda: prove_jensen(-1), "a loss that grows with the margin"),
    checks=(
        Check(
            "batches of random margins, right and wrong",
            _jensen_excess(1.0),
            _jensen_excess(0.5),
            "half the loss",
        ),
    ),
)

NU_GAMMA = Claim(
    id="remark-nu-gamma",
    where="Appendix G, last paragraph",
    title="the critical points and trained networks",
    printed=(
        r"\nu\gamma \le 1.28 \text{ and } 2.40 \text{ for almost all training points, } 0.001 \text{ on "
        r"average; smaller still after regularisation}"
    ),
    corrected=(
        r"\text{a trained network has most points beyond both; a penalty does make } \nu\gamma \text{ and "
        r"} \nu \text{ smaller}"
    ),
    text=Text.CORRECTED,
    hypotheses=(
        "K = 2",
        "LeNet-300-100 trained to a small loss",
        "measured here on a briefly trained network",
        "the paper reports its networks' accuracy, not their loss",
    ),
    depends=("thm-loss-bounds-confidence",),
    chapter=CHAPTER,
    derivation=Derivation(experiment, lambda: experiment(0), "an untrained network", Evidence.EXPERIMENT),
    checks=JENSEN.checks,
    counterexample=counterexample_mean,
    partly=True,
    expected=Verdict.PARTLY,
)

CLAIMS = (CONFIDENCE, JENSEN, NU_GAMMA)
