"""The four penalties of Section 3.2: Eqs. (11), (12), the chain, Figure 3, and Appendix G on growing ν."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import sympy as sp

from regrob.claims.claim import Claim, Counterexample, Verdict, proof
from regrob.claims.hypotheses import ANY_LABEL, BINARY, DISTINCT, NO_BIASES, OFF_KINKS_SHORT
from regrob.claims.statements.lemma_3_1 import prove_collapse
from regrob.claims.statements.lemma_3_2 import prove_jacobian
from regrob.claims.statements.proposition_3_1 import prove_cauchy_schwarz
from regrob.claims.statements.proposition_4_1 import prove_frobenius
from regrob.errors import ProofError
from regrob.symbols import for_every_size, prove_equal, prove_sign, prove_zero

statement = functools.partial(Claim, chapter="book/four_penalties")


LEMMA = ("lemma-3.2-gradient", "lemma-3.2-hessian")

FIXED = (BINARY, NO_BIASES, "w̌ and γ = |w̌ᵀx| > 0 held fixed, so that |log p_y/(1 − p_y)| = γν")

# --- the eigenvector and Eq. (11) ------------------------------------------------------


EIGENVECTOR = statement(
    id="remark-gradient-eigenvector",
    where="Section 3.2, first corollary",
    title="the input gradient is the Hessian's first eigenvector",
    printed=r"\nabla \text{ has the direction of the first eigenvector of } H",
    hypotheses=(BINARY, OFF_KINKS_SHORT, DISTINCT),
    depends=LEMMA,
    derivation=proof(prove_collapse, wrong=2, mistake="twice the eigenvalue"),
)


def prove_norms(power: int = 1) -> None:
    """‖cs‖² = c²S; (ssᵀ)² = S ssᵀ gives ‖s sᵀ‖₂ = S and ‖s sᵀ‖_F² = S², for every n."""
    p, q, S, s_a, s_b = sp.symbols("p q S s_a s_b", positive=True)
    prove_equal((q**power * s_a) ** 2 / s_a**2 * S, q**2 * S, because="‖∇‖₂²")
    h_ab = p * q * s_a * s_b
    square_ab = (p * q) ** 2 * s_a * S * s_b  # Σ_c h_ac h_cb
    prove_zero(square_ab - p * q * S * h_ab, because="H² = pqS·H: one eigenvalue, pqS")
    prove_zero(square_ab.subs({s_b: s_a}) * S / s_a**2 - (p * q * S) ** 2, because="‖H‖_F²")


EQ_11 = statement(
    id="eq-11",
    where="Section 3.2, Eq. (11)",
    title="three penalties in closed form",
    printed=r"\lambda\mu^2,\quad \lambda(1-p_y)^2\nu^2,\quad \lambda p_y(1-p_y)\nu^2;\qquad \|H\|_F=\|H\|_2",
    hypotheses=(BINARY, OFF_KINKS_SHORT, ANY_LABEL),
    depends=LEMMA,
    derivation=proof(prove_norms, wrong=2, mistake="q to the fourth power"),
)

# --- what μ and ν are ------------------------------------------------------------------


def prove_decay(factor: int = 2) -> None:
    """One linear layer has J = W, so λμ² is λ‖W‖_F² at every x; a gradient step multiplies W by 1 − 2ηλ. Any n and K."""
    prove_jacobian()
    lam, eta, w = sp.symbols("lam eta w", real=True)  # w is any entry of W
    step = w - eta * sp.diff(lam * w**2, w)
    prove_zero(step - (1 - factor * eta * lam) * w, because="weight decay")


DECAY = statement(
    id="remark-weight-decay",
    where="Section 3.2, “Cross-Lipschitz vs. Lipschitz”",
    title="in a single layer the Jacobian penalty is weight decay",
    printed=r"\text{in a single layer, or a linear classifier, the Jacobian penalty is weight decay}",
    reading=r"g(\mathbf x) = W^T\mathbf x+\mathbf b:\quad \lambda\mu^2 = \lambda\|W\|_F^2 \text{ at every } \mathbf x; \text{ the biases do not decay}",
    hypotheses=("one linear layer", "any n and K", "weight decay: λ times the sum of the squared weights"),
    depends=("lemma-3.2-jacobian",),
    derivation=proof(prove_decay, wrong=1, mistake="half the decay"),
)


def prove_singular(sign: int = 1) -> None:
    """‖V‖₂² is the largest of the squared singular values, ‖V‖_F² their sum: equal iff the others are zero.

    With r = min(n, K) of them, r‖V‖₂² − ‖V‖_F² is a sum of differences from the largest, none negative.
    """
    for_every_size("one singular value after the other, whatever their number")
    top, own, rest, below = sp.symbols("top own rest below", nonnegative=True)
    prove_sign(sp.expand(sign * ((top + own + rest) - top)), "nonnegative")
    prove_sign(
        sp.expand(((top + own + rest) - top) - own), "nonnegative"
    )  # so equality makes each other one zero
    prove_sign(sp.expand(own + below - own), "nonnegative")  # the largest, less another one


LIPSCHITZ = statement(
    id="remark-lipschitz-constant",
    where="Section 3.2, below Eq. (11); Section 4, below Eq. (17)",
    title="in which norm μ is a Lipschitz constant, and how sharp it is",
    printed=r"\text{“}\mu\text{ denotes }\|V\|_F\text{ which is apparently a local Lipschitz constant of } g(\cdot)\text{”}",
    reading=r"\|g(\mathbf x')-g(\mathbf x'')\|_2 \le \mu\,\|\mathbf x'-\mathbf x''\|_2 \text{ for } \mathbf x',\mathbf x''\in Q(\mathbf x). \text{ The least such constant is } \|V\|_2, \text{ and } \|V\|_2 \le \mu \le \sqrt{\min(n,K)}\,\|V\|_2; \text{ on the left equality iff } \operatorname{rank}V\le1",
    hypotheses=(OFF_KINKS_SHORT, "Euclidean norms of inputs and logits", "any n and K"),
    depends=("eq-5",),
    derivation=proof(prove_singular, prove_frobenius, wrong=-1, mistake="‖V‖_F below ‖V‖₂"),
)


def prove_lead(factor: int = 1) -> None:
    """z₊ − z₋ changes by sᵀ(x' − x''), at most ν‖x' − x''‖, with equality along s; so no smaller constant will do."""
    prove_cauchy_schwarz()
    S, t = sp.symbols("S t", positive=True)  # ‖s‖² and the length of the step
    change = t / sp.sqrt(S) * S  # sᵀ(ts/‖s‖)
    prove_zero(change - factor * sp.sqrt(S) * t, because="equality along s")


CROSS_LIPSCHITZ = statement(
    id="remark-cross-lipschitz-constant",
    where="Section 3.1, below Eq. (8)",
    title="ν is the least cross-Lipschitz constant",
    printed=r"\text{“}\nu := \|\mathbf v_+-\mathbf v_-\|_2 \text{ which is in fact a local cross-Lipschitz constant of } g(\cdot)\text{”}",
    reading=r"|(z_+-z_-)(\mathbf x')-(z_+-z_-)(\mathbf x'')| \le \nu\,\|\mathbf x'-\mathbf x''\|_2 \text{ for } \mathbf x',\mathbf x''\in Q(\mathbf x), \text{ and no smaller constant will do}",
    hypotheses=(BINARY, OFF_KINKS_SHORT, "Euclidean norm of the inputs"),
    depends=("eq-5",),
    derivation=proof(prove_lead, wrong=2, mistake="twice ν"),
)

# --- the chain and Eq. (12) ------------------------------------------------------------


def prove_chain(half: int = 2) -> None:
    """Slacks: q(2p − 1)ν² for p = (1 + t)/2 ≥ ½; and (2p − 1)²ν²/4 + ‖v₊ + v₋‖²/4 for any p."""
    p, N, total = sp.symbols("p N total", nonnegative=True)  # ν² and ‖v₊ + v₋‖²
    t, rest = sp.symbols("t rest", nonnegative=True)  # 2p − 1 and 1 − t
    first = (p * (1 - p) * N - (1 - p) ** 2 * N).subs(p, (1 + t) / 2)
    prove_zero(first - (rest / 2 * t * N).subs(rest, 1 - t), because="the first slack")
    prove_sign(rest / 2 * t * N, "nonnegative")
    r = sp.symbols("r", real=True)  # 2p − 1, either sign
    second = (N + total) / 2 / half - ((1 + r) / 2) * ((1 - r) / 2) * N
    prove_sign(second, "nonnegative", certificate=r**2 * N / 4 + total / 4)


def counterexample_chain() -> Counterexample:
    """p_y = 1/4, ν = 1: 9/16 on the left, 3/16 in the middle."""
    p, nu = sp.Rational(1, 4), sp.Integer(1)
    return Counterexample(
        r"p_y = \tfrac14,\ \nu = 1: \ (1-p_y)^2\nu^2 \text{ against } p_y(1-p_y)\nu^2",
        (1 - p) ** 2 * nu**2,
        "<=",
        p * (1 - p) * nu**2,
    )


CHAIN = statement(
    id="chain-binary",
    where="Section 3.2, below Eq. (11)",
    title="the chained inequality of two classes",
    printed=r"\|\nabla\|_2^2 \le \|H\|_2 \le \|V\|_F^2/2",
    corrected=r"\text{the first link needs } p_y \ge \tfrac12; \text{ the second holds always, and } \tfrac12 \text{ is its best constant}",
    hypotheses=(BINARY, OFF_KINKS_SHORT, "p_y ≥ 1/2 for the first link"),
    depends=("eq-11",),
    derivation=proof(prove_chain, wrong=4, mistake="a quarter of ‖V‖_F²"),
    counterexample=counterexample_chain,
    expected=Verdict.PARTLY,
)


def prove_eq_12(sign: int = 1) -> None:
    """Slacks |C| + C and ‖v₊ − σv₋‖²/2, where C = v₊ᵀv₋ = σ|C|: no Cauchy-Schwarz needed."""
    A, B, size = sp.symbols("A B size", nonnegative=True)  # ‖v₊‖², ‖v₋‖², |C|
    for sigma in (1, -1):
        C = sigma * size
        middle = A / 2 + size + B / 2
        prove_sign(sp.expand(middle - (A + B - 2 * C) / 2), "nonnegative")
        square = A + B - 2 * sign * sigma * C  # ‖v₊ − σv₋‖²
        prove_zero(A + B - middle - square / 2, because="the right slack is half a square")


EQ_12 = statement(
    id="eq-12",
    where="Section 3.2, Eq. (12)",
    title="a small Jacobian has a small ν",
    printed=r"\nu^2/2 \le \tfrac12\|\mathbf v_+\|_2^2+|\mathbf v_+^T\mathbf v_-|+\tfrac12\|\mathbf v_-\|_2^2 \le \mu^2",
    hypotheses=(BINARY,),
    derivation=proof(prove_eq_12, wrong=-1, mistake="‖v₊ + σv₋‖² for the square"),
)

# --- Figure 3: which confidence each penalty looks at, in p_y and in m -----------------


def prove_slopes(sign: int = 1) -> None:
    """|d(1 − p)²/dp| = 2q falls in p; |d p(1 − p)/dp| = 2p − 1 grows on p > ½."""
    p, t, q = sp.symbols("p t q", positive=True)  # t = 2p − 1
    prove_zero(-sp.diff((1 - p) ** 2, p) - 2 * q.subs(q, 1 - p), because="the input gradient's slope")
    prove_sign(sign * -sp.diff(2 * (1 - p), p), "positive")
    prove_zero((-sp.diff(p * (1 - p), p)).subs(p, (1 + t) / 2) - t, because="the curvature's slope")
    prove_sign(sign * sp.diff(2 * p - 1, p), "positive")


SLOPES = statement(
    id="remark-fig3-slopes",
    where="Section 3.2, Figure 3 and the text beside it",
    title="where each penalty is steepest, in p_y",
    printed=r"p_y(1-p_y) \text{ is steeper at higher confidence, unlike } p_y(1-p_y)",
    corrected=r"p_y(1-p_y) \text{ is steeper at higher confidence, unlike } (1-p_y)^2",
    transcription=True,
    hypotheses=(BINARY, "ν fixed", "1/2 < p_y < 1"),
    depends=("eq-11",),
    derivation=proof(prove_slopes, wrong=-1, mistake="the other way round"),
)


def prove_reward(sign: int = 1) -> None:
    """d p(1 − p)/dm = −pq(2p − 1): negative for p > ½, positive for p < ½."""
    p, t, q = sp.symbols("p t q", positive=True)
    rate = (sp.diff(p * (1 - p), p) * p * (1 - p)).subs(p, (1 + t) / 2)  # dp/dm = p(1 − p)
    prove_zero(rate + sign * t * (1 - t) * (1 + t) / 4, because="the slope in m")
    prove_sign(t * q * (1 + t) / 4, "positive")


def counterexample_reward() -> Counterexample:
    """From p_y = 1/4 to 1/2 the curvature's factor grows from 3/16 to 1/4."""
    before, after = sp.Rational(1, 4), sp.Rational(1, 2)
    return Counterexample(
        r"\nu = 1,\ p_y \text{ raised from } \tfrac14 \text{ to } \tfrac12: \ p_y(1-p_y) \text{ after against before}",
        after * (1 - after),
        "<=",
        before * (1 - before),
    )


REWARD = statement(
    id="remark-curvature-confidence",
    where="Section 3.2, “Confidence” in regularizations",
    title="does the curvature penalty reward confidence?",
    printed=r"\text{the curvature regularisation “advocates large } p(\mathbf x)_y \text{ as well”}",
    reading=r"\text{at fixed } \nu \text{ the penalty } p_y(1-p_y)\nu^2 \text{ falls as } p_y \text{ grows}",
    corrected=r"\text{it does for } p_y > \tfrac12; \text{ for } p_y < \tfrac12 \text{ it rewards a lower } p_y",
    hypotheses=(BINARY, "ν > 0 fixed"),
    depends=("eq-11",),
    derivation=proof(prove_reward, wrong=-1, mistake="the sign reversed"),
    counterexample=counterexample_reward,
    expected=Verdict.PARTLY,
)


def prove_peak(shift: int = 0) -> None:
    """√3/18 − p(1 − p)(2p − 1) = 2(p − p*)²(p + √3/3 − ½) with p* = (3 + √3)/6, positive else."""
    p = sp.symbols("p", positive=True)
    best = (3 + sp.sqrt(3)) / 6 + shift
    gap = sp.sqrt(3) / 18 - p * (1 - p) * (2 * p - 1)
    prove_sign(
        gap, "nonnegative", certificate=2 * (p - best) ** 2 * (p + (sp.sqrt(3) / 3 - sp.Rational(1, 2)))
    )


PEAK = statement(
    id="thm-curvature-peak",
    where="new, on Figure 3",
    title="in the logit, the curvature penalty pulls hardest at p_y = 0.789",
    printed=r"\left|\frac{\partial}{\partial m}p_y(1-p_y)\right| = p_y(1-p_y)(2p_y-1) \text{ peaks at } p_y = \tfrac{3+\sqrt3}6 \text{ and vanishes as } p_y\to1",
    hypotheses=(BINARY, "ν fixed", "1/2 < p_y < 1", "m = log(p_y/(1 − p_y))"),
    depends=("remark-curvature-confidence",),
    derivation=proof(prove_peak, wrong=1, mistake="a peak elsewhere"),
)

# --- Appendix G: Eqs. (44), (45) -------------------------------------------------------


def printed_44(gamma: Any, nu: Any, exp: Callable[[Any], Any] = sp.exp) -> Any:
    """The right-hand side of Eq. (44), of SymPy's expressions or, with `torch.exp`, of tensors."""
    return 2 * nu * (1 - (gamma * nu - 1) * exp(gamma * nu)) / (1 + exp(gamma * nu)) ** 3


def printed_45(gamma: Any, nu: Any, exp: Callable[[Any], Any] = sp.exp) -> Any:
    """The right-hand side of Eq. (45), likewise."""
    e = exp(gamma * nu)
    return nu * (2 + gamma * nu - (gamma * nu - 2) * e) * e / (1 + e) ** 3


def prove_44(label: int = 1) -> None:
    """Differentiate ν²q², q = 1/(1 + e^{γν}); `label = −1` is a misclassified point."""
    gamma, nu = sp.symbols("gamma nu", positive=True)
    penalty = nu**2 / (1 + sp.exp(label * gamma * nu)) ** 2
    prove_zero(sp.diff(penalty, nu) - printed_44(gamma, nu), because="Eq. (44)")


def prove_45(power: int = 1) -> None:
    """Differentiate ν²pq, which is the same for a right and a wrong label."""
    gamma, nu = sp.symbols("gamma nu", positive=True)
    e = sp.exp(gamma * nu)
    penalty = nu**2 * e**power / (1 + e) ** 2
    prove_zero(sp.diff(penalty, nu) - printed_45(gamma, nu), because="Eq. (45)")


def counterexample_44() -> Counterexample:
    """γ = ν = 1 and the wrong label: ‖∇‖₂² = ν²/(1 + e^{−γν})², whose slope is another one."""
    gamma, nu = sp.symbols("gamma nu", positive=True)
    ones = {gamma: 1, nu: 1}
    truth = sp.diff(nu**2 / (1 + sp.exp(-gamma * nu)) ** 2, nu).subs(ones)
    return Counterexample(
        r"\gamma = \nu = 1, \text{ misclassified}: \ \partial\|\nabla\|_2^2/\partial\nu \text{ against the printed right-hand side}",
        truth,
        "=",
        printed_44(gamma, nu).subs(ones),
    )


EQ_44 = statement(
    id="eq-44",
    where="Appendix G, Eq. (44)",
    title="how the input-gradient penalty moves with ν",
    printed=r"\frac{\partial\|\nabla\|_2^2}{\partial\nu} = \frac{2\nu(1-(\gamma\nu-1)e^{\gamma\nu})}{(1+e^{\gamma\nu})^3}",
    corrected=r"\text{this holds for correctly classified points; for the others } \|\nabla\|_2^2 \text{ grows with } \nu \text{ throughout}",
    hypotheses=FIXED,
    depends=("eq-11",),
    derivation=proof(prove_44, wrong=-1, mistake="a misclassified point"),
    counterexample=counterexample_44,
    expected=Verdict.PARTLY,
)

EQ_45 = statement(
    id="eq-45",
    where="Appendix G, Eq. (45)",
    title="how the curvature penalty moves with ν",
    printed=r"\frac{\partial\|H\|_2}{\partial\nu} = \frac{\nu(2+\gamma\nu-(\gamma\nu-2)e^{\gamma\nu})e^{\gamma\nu}}{(1+e^{\gamma\nu})^3}",
    hypotheses=(*FIXED, ANY_LABEL),
    depends=("eq-11",),
    derivation=proof(prove_45, wrong=2, mistake="p² in place of p"),
)

# --- Appendix G: the critical points ---------------------------------------------------


def critical_points() -> tuple[sp.Expr, sp.Expr]:
    """νγ where (44) vanishes, 1 + W(1/e), and where (45) does, twice the root of x tanh x = 1 to 20 digits."""
    x = sp.symbols("x", positive=True)
    return 1 + sp.LambertW(sp.exp(-1)), 2 * sp.nsolve(x * sp.tanh(x) - 1, 1.2, prec=20)


def prove_critical(shift: sp.Expr | int = 0) -> None:
    """One root each: h = 1 − (t − 1)eᵗ has h' = −teᵗ < 0; x tanh x grows from 0 to ∞.

    (44) vanishes where (t − 1)eᵗ = 1; (45) where (t − 2)eᵗ = t + 2, which is x tanh x = 1
    at x = t/2. Both roots lie within half a unit of the paper's second decimal.
    """
    t, x = sp.symbols("t x", positive=True)
    h = 1 - (t - 1) * sp.exp(t)
    prove_sign(-sp.diff(h, t), "positive")
    w = sp.symbols("w", positive=True)  # W(1/e): w eʷ = 1/e
    at_root = sp.expand(h.subs(t, 1 + w + shift), power_exp=True).subs(sp.exp(w), sp.exp(-1) / w)
    if sp.expand(at_root) != 0:
        raise ProofError(f"1 + W(1/e) is not the root: {at_root} is left")
    k = (2 + t - (t - 2) * sp.exp(t)).subs(t, 2 * x)
    # x tanh x − 1, times −2(eˣ + e⁻ˣ)eˣ
    bridge = -2 * (x * (sp.exp(x) - sp.exp(-x)) - (sp.exp(x) + sp.exp(-x))) * sp.exp(x)
    prove_zero(k - bridge, because="(45)'s numerator is x tanh x − 1, but for a positive factor")
    climbs = sp.tanh(x) + x / sp.cosh(x) ** 2
    prove_zero(sp.diff(x * sp.tanh(x), x) - climbs)
    prove_sign(climbs, "positive", certificate=climbs)
    for f, root in ((h, sp.Rational(128, 100)), (k.subs(x, t / 2), sp.Rational(240, 100))):
        margin = sp.Rational(5, 1000)
        for value in (f.subs(t, root - margin), -f.subs(t, root + margin)):
            prove_sign(value, "positive", certificate=value)


CRITICAL = statement(
    id="remark-critical-points",
    where="Appendix G, below Eq. (45)",
    title="the critical points 1.28/γ and 2.40/γ",
    printed=r"\partial\|\nabla\|_2^2/\partial\nu = 0 \text{ at } \nu = 1.28/\gamma, \qquad \partial\|H\|_2/\partial\nu = 0 \text{ at } \nu = 2.40/\gamma",
    corrected=r"\nu\gamma = 1+W(1/e) \quad\text{and}\quad \nu\gamma = 2x \text{ with } x\tanh x = 1; \text{ each the only one}",
    restated=True,
    hypotheses=(*FIXED, "correctly classified"),
    depends=("eq-44", "eq-45"),
    derivation=proof(prove_critical, wrong=1, mistake="the root moved by one"),
)

# --- Appendix G: the Taylor radius as ν grows (new) ------------------------------------


def prove_growth(sign: int = 1) -> None:
    """τ'(m) = 1 + ½(2p − 1)τ·pτ/(1 + pτ): a product of growing factors, so τ is convex.

    τ(0) = 0 and τ strictly convex make τ(m)/m strictly increasing; ‖r*‖ = γτ(m)/m.
    """
    p, tau, x, t = sp.symbols("p tau x t", positive=True)
    rate = 1 + p * (2 * p - 1) * tau**2 / (2 * (1 + p * tau))
    factors = 1 + sp.Rational(1, 2) * (2 * p - 1) * tau * (p * tau / (1 + p * tau))
    prove_zero(rate - factors, because="the factors")
    prove_sign(sign * sp.factor(sp.diff(x / (1 + x), x)), "positive")
    prove_sign(sp.diff(2 * p - 1, p), "positive")
    # (τ/m)' = (mτ' − τ)/m², and (mτ' − τ)' = mτ'' > 0
    f = sp.Function("tau")(t)
    prove_zero(sp.diff(t * sp.diff(f, t) - f, t) - t * sp.diff(f, t, 2))


GROWTH = statement(
    id="thm-radius-and-nu",
    where="new, on the last sentence of Appendix G",
    title="at fixed γ the Taylor radius grows with ν, and the true margin does not move",
    printed=r"\|\mathbf r^*\|_2 = \gamma\,\tau(\nu\gamma)/(\nu\gamma) \text{ increases strictly with } \nu, \text{ while } d = \gamma",
    hypotheses=(*FIXED, "correctly classified"),
    depends=("prop-3.1", "thm-taylor-overshoots"),
    derivation=proof(prove_growth, wrong=-1, mistake="a falling factor"),
)

# --- Appendix G: what νγ is, and what a small loss says about it (new) -----------------


def prove_confidence(sign: int = 1) -> None:
    """log(p/(1 − p)) = γν for p = 1/(1 + e^{−γν}): the conditions are about p_y alone.

    At t = 1 + W(1/e) the probability is 1/t, since e^{−t} = W(1/e); so both numbers follow.
    """
    t = sp.symbols("t", positive=True)
    p = 1 / (1 + sp.exp(-t))
    prove_zero(sp.simplify(p / (1 - p)) - sp.exp(sign * t), because="the odds are e^{γν}")
    prove_sign(sp.diff(p, t), "positive")
    for critical, shown in zip(critical_points(), (0.7822, 0.9168), strict=True):
        largest = float(p.subs(t, critical))
        if round(largest, 4) != shown:
            raise ProofError(
                f"the condition νγ ≤ {float(critical):.4f} means p_y ≤ {largest:.4f}, not {shown}"
            )


CONFIDENCE = statement(
    id="thm-critical-confidence",
    where="new, on Appendix G",
    title="νγ is the confidence, so the conditions are p_y ≤ 0.7822 and p_y ≤ 0.9168",
    printed=r"\nu\gamma = \left|\log\frac{p_y}{1-p_y}\right|,\qquad \nu\gamma\le1+W(1/e) \iff p_y\le0.7822,\quad \nu\gamma\le2.3994 \iff p_y\le0.9168 \text{ (both to four digits; correctly classified)}",
    hypotheses=(BINARY, NO_BIASES, "γ = |w̌ᵀx|", "p_y > 1/2 for the two equivalences"),
    depends=("eq-3", "remark-critical-points"),
    derivation=proof(prove_confidence, wrong=-1, mistake="the odds upside down"),
)


def prove_jensen(sign: int = 1) -> None:
    """softplus(−m) is convex and falls: mean loss ≥ softplus(−mean|m|), which then is inverted."""
    m = sp.symbols("m", real=True)
    loss = sp.symbols("loss", positive=True)
    f, e = sp.log(1 + sp.exp(-m)), sp.exp(-m)
    prove_sign(sp.diff(f, m, 2), "positive", certificate=e / (1 + e) ** 2)
    prove_sign(-sign * sp.diff(f, m), "positive", certificate=sign * e / (1 + e))
    prove_zero(sp.exp(f).subs(m, -sp.log(sp.exp(loss) - 1)) - sp.exp(loss), because="the inverse")


JENSEN = statement(
    id="thm-loss-bounds-confidence",
    where="new, on Appendix G",
    title="a small loss forces a large νγ",
    printed=r"\overline{\nu\gamma} \ge -\log(e^{\overline{\mathcal L}}-1) \text{ over any set of points}",
    hypotheses=(BINARY, "no biases, so that νγ = |m|", "any labels"),
    depends=("thm-critical-confidence",),
    derivation=proof(prove_jensen, wrong=-1, mistake="a loss that grows with the margin"),
)

# --- Appendix G: νγ of trained networks ------------------------------------------------


def counterexample_mean() -> Counterexample:
    """A mean loss of 1/10 nat forces a mean νγ of at least −log(e^{1/10} − 1) = 2.25."""
    return Counterexample(
        r"\text{a network without biases, mean loss } \tfrac1{10}: \ \text{the least possible mean } \nu\gamma \text{ against } \tfrac1{1000}",
        -sp.log(sp.exp(sp.Rational(1, 10)) - 1),
        "<=",
        sp.Rational(1, 1000),
    )


NU_GAMMA = statement(
    id="remark-nu-gamma",
    where="Appendix G, last paragraph",
    title="the critical points and trained networks",
    printed=r"\text{“the average value of } \nu\gamma \text{ on the LeNet-300-100 references is only roughly 0.001 and the largest value is roughly 1.570”; smaller still after regularisation}",
    reading=r"\text{so for networks without biases (then } \nu\gamma = |m|\text{) whose mean loss is at most } \tfrac1{10}: \text{ both are our assumptions}",
    corrected=r"\text{without biases a mean loss of } \tfrac1{10} \text{ forces a mean } \nu\gamma \ge 2.25\text{: most points lie beyond a critical point. A penalty does make } \nu\gamma \text{ and } \nu \text{ smaller}",
    hypotheses=(
        BINARY,
        NO_BIASES,
        "LeNet-300-100 trained to a mean loss of at most 1/10: the paper reports its networks' accuracy, not their loss",
        "measured here on a briefly trained network",
    ),
    depends=("thm-loss-bounds-confidence",),
    counterexample=counterexample_mean,
    expected=Verdict.PARTLY,
)

CLAIMS = (EIGENVECTOR, EQ_11, LIPSCHITZ, CROSS_LIPSCHITZ, DECAY, CHAIN, EQ_12, SLOPES, REWARD, PEAK)
"""Section 3.2's, in the paper's order."""

APPENDIX = (EQ_44, EQ_45, CRITICAL, GROWTH, CONFIDENCE, JENSEN, NU_GAMMA)
"""Appendix G's, in the paper's order."""
