"""Figure 3 and the text beside it: which confidence each penalty looks at, in p_y and in m."""

from __future__ import annotations

import math
from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor

from regrob.claims.claim import Check, Claim, Counterexample, Derivation, Text, Verdict
from regrob.claims.instances import Draw
from regrob.symbols import prove_sign, prove_zero
from regrob.theory import probability

CHAPTER = "book/four_penalties"


def prove_slopes(sign: int = 1) -> None:
    """|d(1 − p)²/dp| = 2q falls in p; |d p(1 − p)/dp| = 2p − 1 grows on p > ½."""
    p, t, q = sp.symbols("p t q", positive=True)  # t = 2p − 1
    prove_zero(-sp.diff((1 - p) ** 2, p) - 2 * q.subs(q, 1 - p), because="the input gradient's slope")
    prove_sign(sign * -sp.diff(2 * (1 - p), p), "positive")
    prove_zero((-sp.diff(p * (1 - p), p)).subs(p, (1 + t) / 2) - t, because="the curvature's slope")
    prove_sign(sign * sp.diff(2 * p - 1, p), "positive")


def slope(term: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """d term / d at, one number an entry, by autograd."""
    at = at.detach().requires_grad_(True)
    with torch.enable_grad():
        (found,) = torch.autograd.grad(term(at).sum(), at)
    return found


def _slopes_excess(low: float) -> Callable[[Draw], Tensor]:
    def excess(draw: Draw) -> Tensor:
        generator = torch.Generator().manual_seed(draw.seed)
        p = low + (1 - low) * torch.rand(2, draw.trials, generator=generator, dtype=torch.float64)
        less, more = p.sort(dim=0).values

        def steep(term: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
            return slope(term, at).abs()

        falls = steep(lambda p: (1 - p) ** 2, more) - steep(lambda p: (1 - p) ** 2, less)
        grows = steep(lambda p: p * (1 - p), less) - steep(lambda p: p * (1 - p), more)
        return torch.maximum(falls, grows)

    return excess


SLOPES = Claim(
    id="remark-fig3-slopes",
    where="Section 3.2, Figure 3 and the text beside it",
    title="where each penalty is steepest, in p_y",
    printed=r"p_y(1-p_y) \text{ is steeper at higher confidence, unlike } p_y(1-p_y)",
    corrected=r"p_y(1-p_y) \text{ is steeper at higher confidence, unlike } (1-p_y)^2",
    text=Text.CORRECTED,
    transcription=True,
    hypotheses=("ν fixed", "1/2 < p_y < 1"),
    depends=("eq-11",),
    chapter=CHAPTER,
    derivation=Derivation(prove_slopes, lambda: prove_slopes(-1), "the other way round"),
    checks=(
        Check(
            "autograd's slopes at two values of p",
            _slopes_excess(0.5),
            _slopes_excess(0.0),
            "p below 1/2 too",
        ),
    ),
)


def _reward_excess(correct: bool) -> Callable[[Draw], Tensor]:
    """d‖H‖₂/dm at fixed ν: positive where a larger margin costs more."""

    def excess(draw: Draw) -> Tensor:
        _, z, y = draw.instances(2, correct=correct, high=8.0)
        m = probability.logit_margin(z, y)
        m = m if correct else -m.abs()
        p, q = torch.sigmoid(m), torch.sigmoid(-m)
        return slope(lambda m: torch.sigmoid(m) * torch.sigmoid(-m), m) / (p * q)

    return excess


def counterexample_reward() -> Counterexample:
    """From p_y = 1/4 to 1/2 the curvature's factor grows from 3/16 to 1/4."""
    before, after = sp.Rational(1, 4), sp.Rational(1, 2)
    return Counterexample(
        r"\nu = 1,\ p_y \text{ raised from } \tfrac14 \text{ to } \tfrac12: \ p_y(1-p_y) \text{ after "
        r"against before}",
        after * (1 - after),
        "<=",
        before * (1 - before),
    )


def prove_reward(sign: int = 1) -> None:
    """d p(1 − p)/dm = −pq(2p − 1): negative for p > ½, positive for p < ½."""
    p, t, q = sp.symbols("p t q", positive=True)
    rate = (sp.diff(p * (1 - p), p) * p * (1 - p)).subs(p, (1 + t) / 2)  # dp/dm = p(1 − p)
    prove_zero(rate + sign * t * (1 - t) * (1 + t) / 4, because="the slope in m")
    prove_sign(t * q * (1 + t) / 4, "positive")


REWARD = Claim(
    id="remark-curvature-confidence",
    where="Section 3.2, “Confidence” in regularizations",
    title="does the curvature penalty reward confidence?",
    printed=r"\text{the curvature regulariser advocates large } p_y",
    corrected=r"\text{for } p_y > \tfrac12; \text{ for } p_y < \tfrac12 \text{ it rewards lowering } p_y",
    text=Text.CORRECTED,
    hypotheses=("ν fixed", "p_y > 1/2"),
    depends=("eq-11",),
    chapter=CHAPTER,
    derivation=Derivation(prove_reward, lambda: prove_reward(-1), "the sign reversed"),
    checks=(
        Check(
            "raising the margin lowers the penalty, where p_y > 1/2",
            _reward_excess(True),
            _reward_excess(False),
            "misclassified points",
        ),
    ),
    counterexample=counterexample_reward,
    partly=True,
    expected=Verdict.PARTLY,
)

PEAK = (3 + math.sqrt(3)) / 6
"""The p_y at which the curvature penalty pulls hardest on the logit margin, 0.789."""


def prove_peak(shift: int = 0) -> None:
    """√3/18 − p(1 − p)(2p − 1) = 2(p − p*)²(p + √3/3 − ½) with p* = (3 + √3)/6, positive else."""
    p = sp.symbols("p", positive=True)
    best = (3 + sp.sqrt(3)) / 6 + shift
    gap = sp.sqrt(3) / 18 - p * (1 - p) * (2 * p - 1)
    prove_sign(
        gap, "nonnegative", certificate=2 * (p - best) ** 2 * (p + (sp.sqrt(3) / 3 - sp.Rational(1, 2)))
    )


def _peak_excess(p_best: float) -> Callable[[Draw], Tensor]:
    """Is the slope anywhere steeper than at the claimed peak?"""

    def excess(draw: Draw) -> Tensor:
        generator = torch.Generator().manual_seed(draw.seed)
        m = 12 * torch.rand(draw.trials, generator=generator, dtype=torch.float64)

        def steepness(m: Tensor) -> Tensor:
            return slope(lambda m: torch.sigmoid(m) * torch.sigmoid(-m), m).abs()

        best = torch.tensor([math.log(p_best / (1 - p_best))], dtype=torch.float64)
        return steepness(m) / steepness(best) - 1

    return excess


LOGIT = Claim(
    id="thm-curvature-peak",
    where="new, on Figure 3",
    title="in the logit, the curvature penalty pulls hardest at p_y = 0.789",
    printed=(
        r"\left|\frac{\partial}{\partial m}p_y(1-p_y)\right| = p_y(1-p_y)(2p_y-1) \text{ peaks at } p_y = "
        r"\tfrac{3+\sqrt3}6 \text{ and vanishes as } p_y\to1"
    ),
    text=Text.NEW,
    hypotheses=("ν fixed", "1/2 < p_y < 1", "m = log(p_y/(1 − p_y))"),
    depends=("remark-curvature-confidence",),
    chapter=CHAPTER,
    derivation=Derivation(prove_peak, lambda: prove_peak(1), "a peak elsewhere"),
    checks=(Check("no margin is steeper", _peak_excess(PEAK), _peak_excess(0.75), "a peak at p = 3/4"),),
)

CLAIMS = (SLOPES, REWARD, LOGIT)
