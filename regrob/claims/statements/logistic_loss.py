"""Appendix G: the logistic loss. What carries over from two logits to one, and what does not."""

from __future__ import annotations

from functools import partial

import sympy as sp

from regrob.claims.claim import Claim, Counterexample, Verdict, proof
from regrob.claims.hypotheses import BINARY
from regrob.errors import ProofError
from regrob.symbols import differentiate, prove_zero

statement = partial(Claim, chapter="book/logistic_loss")

# --- Lemma 3.2 and Propositions 3.1 to 3.3 ---------------------------------------------


def prove_transfer(sign: int = 1) -> None:
    """∇ = −y(1 − p_y)v and H = p_y(1 − p_y)vvᵀ for log(1 + e^{−y vᵀx}), any n: Lemma 3.2 with s = v."""
    n = sp.symbols("n", integer=True, positive=True)
    a, b, c = sp.symbols("a b c", integer=True, nonnegative=True)
    v, x = sp.IndexedBase("v", real=True), sp.IndexedBase("x", real=True)
    score = sp.Sum(v[c] * x[c], (c, 0, n - 1))
    for y in (1, -1):
        loss = sp.log(1 + sp.exp(-y * score))
        gradient = differentiate(loss, x[a], c)
        curved = differentiate(gradient, x[b], c)
        e = sp.symbols("e", positive=True)  # e^{−y vᵀx}
        p = 1 / (1 + e)
        for derivative, claimed in (
            (gradient, sign * y * (p - 1) * v[a]),
            (curved, p * (1 - p) * v[a] * v[b]),
        ):
            plain = derivative.subs(sp.exp(-2 * y * score), e**2).subs(sp.exp(-y * score), e)
            if sp.simplify(plain - claimed) != 0:
                raise ProofError(f"the logistic loss leaves {sp.simplify(plain - claimed)}")


TRANSFER = statement(
    id="remark-logistic-transfer",
    where="Appendix G; Section 3.1, below Eq. (8)",
    title="Lemma 3.2 and Propositions 3.1 to 3.3 hold for the logistic loss",
    printed=r"V = [\mathbf v, \mathbf 0]: \ \mathbf v \text{ plays the role of } \mathbf v_+-\mathbf v_-",
    hypotheses=(BINARY, "one logit vᵀx", "for the propositions: their own hypotheses"),
    depends=("lemma-3.2-gradient", "lemma-3.2-hessian", "prop-3.1", "prop-3.2", "prop-3.3"),
    derivation=proof(prove_transfer, wrong=-1, mistake="the sign reversed"),
)

# --- Proposition 3.4 -------------------------------------------------------------------


def prove_scale(halves: int = 1) -> None:
    """J = v, so μ² = ‖v‖² = ν²: λν²/2 and λ'μ² are one function exactly for λ' = λ/2."""
    lam, S = sp.symbols("lambda S", positive=True)
    nu2 = mu2 = S  # ‖v − 0‖² and ‖v‖²
    prove_zero(lam * nu2 / 2 - lam / 2 * halves * mu2, because="the two penalties")


def counterexample_scale() -> Counterexample:
    """One point x = 1, y = +1, λ = 1/(4 log 3): v = log 3 solves the first problem only.

    There the loss's slope is −1/(1 + e^v) = −1/4, and λv = 1/4 while 2λv = 1/2.
    """
    lam, v = 1 / (4 * sp.log(3)), sp.log(3)
    slope = -1 / (1 + sp.exp(v))
    if sp.simplify(slope + lam * v) != 0:
        raise ProofError("log 3 does not minimise the first objective")
    return Counterexample(
        r"x = 1,\ y = +1,\ \lambda = \tfrac1{4\log3}: \text{ the slope of } \mathcal L+\lambda\mu^2 \text{ at } v = \log3, \text{ which minimises } \mathcal L+\lambda\nu^2/2",
        sp.simplify(slope + 2 * lam * v),
        "=",
        sp.Integer(0),
    )


SCALE = statement(
    id="remark-logistic-prop-3.4",
    where="Appendix G, on Proposition 3.4",
    title="Proposition 3.4's scale of two does not carry over",
    printed=r"\text{“what follows is coincident with those presented in the paper”}",
    reading=r"\text{Proposition 3.4 holds as it stands: } \operatorname{argmin}\mathbb E[\mathcal L+\lambda\nu^2/2] = \operatorname{argmin}\mathbb E[\mathcal L+\lambda\mu^2]",
    corrected=r"J = \mathbf v,\ \mu^2 = \nu^2: \text{ the two objectives are the same function where the weights agree, as do } \lambda\nu^2/2 \text{ and } \tfrac\lambda2\mu^2",
    hypotheses=(BINARY, "one logit vᵀx, so that J = v", "λ > 0"),
    depends=("remark-logistic-transfer",),
    derivation=proof(prove_scale, wrong=2, mistake="the paper's scale"),
    counterexample=counterexample_scale,
    expected=Verdict.FAILS,
)

CLAIMS = (TRANSFER, SCALE)
