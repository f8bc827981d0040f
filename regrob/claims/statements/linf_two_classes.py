"""Two classes in the ℓ∞ ball: FGSM, Propositions 3.2 and 3.3, Eqs. (21) to (25), and what η* does not bound."""

from __future__ import annotations

from functools import partial

import sympy as sp

from regrob.claims.claim import Claim, Counterexample, proof
from regrob.claims.hypotheses import ANY_LABEL, BINARY, CORRECT, DISTINCT, MODEL, OFF_KINKS_SHORT
from regrob.claims.statements.proposition_3_1 import prove_roots
from regrob.symbols import prove_equal, prove_sign, prove_zero

statement = partial(Claim, chapter="book/linf_two_classes")

# --- Eq. (2): the worst loss in a box --------------------------------------------------


def prove_fgsm(sign: int = 1) -> None:
    """The loss falls in m, and m(r) ≥ m − ε‖s‖₁ coordinate by coordinate, tight at FGSM's step."""
    m, s = sp.symbols("m s", real=True)
    a, b = sp.symbols("a b", nonnegative=True)  # ε − r and ε + r
    prove_sign(-sp.diff(sp.log(1 + sp.exp(-m)), m).rewrite(sp.exp), "positive")
    epsilon = (a + b) / 2
    for size, sigma in ((s, 1), (-s, -1)):  # |s| = σs
        step = (b - a) / 2
        slack = (size * epsilon + s * step).subs(s, sigma * sp.Symbol("S", nonnegative=True))
        prove_sign(slack, "nonnegative")
        least = slack.subs({a: 0}) if sign * sigma < 0 else slack.subs({b: 0})
        prove_zero(least, because="equality at r = −ε sign(s)")


EQ_2 = statement(
    id="eq-2-fgsm",
    where="Section 2.1, Eq. (2)",
    title="FGSM's step is the worst for a binary linear model",
    printed=r"\max_{\|\mathbf r\|_\infty\le\epsilon}\mathcal L(\mathbf x+\mathbf r, y) = \mathcal L(\mathbf x+\epsilon\operatorname{sign}\nabla, y) \text{ with some binary linear classifiers}",
    corrected=r"\text{with every binary affine classifier; the maximum is } \log(1+e^{-m+\epsilon\|\mathbf s\|_1})",
    restated=True,
    hypotheses=("affine classifier", BINARY, "ε ≥ 0", "no box constraint", ANY_LABEL),
    derivation=proof(prove_fgsm, wrong=-1, mistake="the step against the gradient"),
)

# --- Eqs. (21), (22): a constraint on one number ---------------------------------------


def prove_scalar(power: int = 1) -> None:
    """rᵀHr = pq(sᵀr)² and ∇ᵀr = ∓q sᵀr, so rᵀHr = (p/q)(∇ᵀr)²; then both roots in ∇ᵀr."""
    p, q = sp.symbols("p q", positive=True)
    along = sp.symbols("along", real=True)  # sᵀr
    for label in (1, -1):
        t = -label * q * along
        prove_zero(p * q * along**2 - (p / q) ** power * t**2, because="the constraint is scalar")
    prove_roots()


SCALAR = statement(
    id="eq-22",
    where="Appendix C, Eqs. (21), (22)",
    title="the quadratic constraint is a constraint on ∇ᵀr alone",
    printed=r"-\xi+\nabla^T\mathbf r+\frac{p_y}{2(1-p_y)}(\nabla^T\mathbf r)^2 \ge 0",
    hypotheses=(BINARY, OFF_KINKS_SHORT, ANY_LABEL, "ξ = β − L"),
    depends=("lemma-3.2-gradient", "lemma-3.2-hessian"),
    derivation=proof(prove_scalar, wrong=2, mistake="the odds squared"),
)

# --- Proposition 3.2 -------------------------------------------------------------------


def prove_dual(printed: int = 1) -> None:
    """Hölder by coordinates with equality at ρ sign(∇), then the length: Eq. (23)."""
    size, room = sp.symbols("size room", nonnegative=True)  # |∇_c| and ρ − r_c sign(∇_c)
    prove_sign(size * room, "nonnegative")  # ρ|∇_c| − ∇_c r_c, zero at r_c = ρ sign(∇_c)
    prove_length(printed)


def prove_length(printed: int = 1) -> None:
    """∇ᵀr ≤ ‖r‖‖∇‖_*, with equality somewhere, is what a dual norm is: so ‖r‖ = (q/p)(B − 1)/‖∇‖_*.

    With ‖∇‖_* = q‖s‖_* that is (B − 1)/(p‖s‖_*); the root of the other sign is farther away.
    """
    p, q, S, xi = sp.symbols("p q S xi", positive=True)
    B = sp.sqrt(1 + 2 * p * xi / q)
    prove_zero(q / p * (B - 1) / (q * S) - (B - 1) / (p**printed * S), because="Eq. (23)")
    prove_roots()


PROP_3_2 = statement(
    id="prop-3.2",
    where="Proposition 3.2, Eq. (9)",
    title="the ℓ∞ radius in closed form",
    printed=r"\|\tilde{\mathbf r}^*\|_\infty = \frac{1}{p_y\|\mathbf v_+-\mathbf v_-\|_1}\left(\sqrt{1+\frac{2p_y\xi}{1-p_y}}-1\right)",
    hypotheses=(BINARY, OFF_KINKS_SHORT, CORRECT, DISTINCT, "β = log 2", MODEL),
    depends=("eq-22",),
    derivation=proof(prove_dual, wrong=2, mistake="p_y squared"),
)

EQ_23 = statement(
    id="eq-23",
    where="Appendix C, below Eq. (22), and Eq. (23)",
    title="both roots, and the subscript of p",
    printed=r"\|\tilde{\mathbf r}^*\|_\infty = \frac{1-p_y}{p(\mathbf x)\|\nabla\|_1}\left(\sqrt{1+\frac{2p_y\xi}{1-p_y}}-1\right)",
    corrected=r"p(\mathbf x)_y \text{ in place of } p(\mathbf x), \text{ here and in both roots}",
    transcription=True,
    hypotheses=PROP_3_2.hypotheses,
    depends=("prop-3.2",),
    derivation=PROP_3_2.derivation,
)

# --- footnote 2 ------------------------------------------------------------------------


def prove_same_step(factor: int = 1) -> None:
    """‖r*‖_∞/‖r̃*‖_∞ = max|s|·‖s‖₁/‖s‖₂², which is 1 iff every |s_c| is 0 or max|s|.

    r* = t₊s/(q‖s‖₂²) and ‖r̃*‖_∞ = t₊/(q‖s‖₁), with t₊ the root of Eq. (22). And max|s|‖s‖₁ − ‖s‖₂² is the sum of
    |s_c|(max|s| − |s_c|) ≥ 0.
    """
    room, t, q, one, square, largest = sp.symbols("room t q one square largest", positive=True)
    ratio = (t * largest / (q * square)) / (t / (q * one))
    prove_zero(ratio - factor * largest * one / square, because="‖r*‖_∞/‖r̃*‖_∞")
    s_c = sp.Symbol("s_c", nonnegative=True)
    prove_zero(s_c * (s_c + room) - s_c**2 - s_c * room, because="one term of max|s|‖s‖₁ − ‖s‖₂²")
    prove_sign(s_c * room, "nonnegative")


FOOTNOTE_2 = statement(
    id="remark-footnote-2",
    where="Section 3.1, footnote 2",
    title="when the two shortest steps are one",
    printed=r"\text{“we probably have } \mathbf r^* \ne \tilde{\mathbf r}^*\text{”}",
    reading=r"\text{the question when } \mathbf r^* \text{ is a shortest step in the maximum norm too}",
    corrected=r"\text{iff all nonzero } |s_c| \text{ are equal; in general } \|\mathbf r^*\|_\infty/\|\tilde{\mathbf r}^*\|_\infty = \max_c|s_c|\,\|\mathbf s\|_1/\|\mathbf s\|_2^2 \ge 1",
    hypotheses=PROP_3_2.hypotheses,
    depends=("prop-3.1", "prop-3.2"),
    derivation=proof(prove_same_step, wrong=2, mistake="twice the ratio"),
)

# --- any norm (new) --------------------------------------------------------------------


ANY_NORM = statement(
    id="thm-any-norm",
    where="new, after Propositions 3.1 and 3.2",
    title="the radius in any norm",
    printed=r"\min\{\|\mathbf r\| : \text{the model reaches } \log 2\} = \tau(m)/\|\mathbf v_+-\mathbf v_-\|_*",
    hypotheses=(BINARY, CORRECT, DISTINCT, "‖·‖ any norm, ‖·‖_* its dual norm"),
    depends=("eq-22",),
    derivation=proof(prove_length, wrong=2, mistake="p_y squared"),
)

# --- Proposition 3.3: the worst case in the ball ---------------------------------------


def prove_worst(halves: int = 1) -> None:
    """t ↦ t + (p/2q)t² over |t| ≤ ε‖∇‖₁ is largest at t = +ε‖∇‖₁, whatever the sign of m."""
    p, q, G, S, epsilon = sp.symbols("p q G S epsilon", positive=True)
    back, room = sp.symbols("back room", nonnegative=True)  # t = εG − room, εG + t = back
    t = epsilon * G - room
    gain = (epsilon * G + p / (2 * q) * (epsilon * G) ** 2) - (t + p / (2 * q) * t**2)
    certificate = room + p / (2 * q) * room * back
    prove_zero(gain - certificate.subs(back, 2 * epsilon * G - room), because="the gap")
    prove_sign(certificate, "nonnegative")
    in_G = epsilon * G + p / (2 * q) * (epsilon * G) ** 2
    prove_equal(in_G.subs(G, q * S), epsilon * q * S + halves * epsilon**2 * p * q * S**2 / 2)


PROP_3_3 = statement(
    id="prop-3.3",
    where="Proposition 3.3, Eq. (10)",
    title="the model's worst case in the ℓ∞ ball",
    printed=r"\eta^* = \mathcal L + \epsilon(1-p_y)\|\mathbf v_+-\mathbf v_-\|_1 + \tfrac12\epsilon^2p_y(1-p_y)\|\mathbf v_+-\mathbf v_-\|_1^2",
    hypotheses=(
        BINARY,
        OFF_KINKS_SHORT,
        "any label: the paper asks for a correct one, and need not",
        "ε ≥ 0",
    ),
    depends=("eq-22",),
    derivation=proof(prove_worst, wrong=2, mistake="no factor 1/2"),
)


def prove_ball(side: int = 1) -> None:
    """‖r‖_∞ ≤ ε: what (24) has on its second line grows with ‖r‖_∞, so the third line is at least the second."""
    p, q, G = sp.symbols("p q G", positive=True)  # G = ‖∇‖₁
    radius, room = sp.symbols("radius room", nonnegative=True)  # ε = ‖r‖_∞ + room

    def line(radius: sp.Expr) -> sp.Expr:
        return radius * G + p / (2 * q) * (radius * G) ** 2

    prove_sign(sp.expand(side * (line(radius + room) - line(radius))), "nonnegative")


def counterexample_eq_24() -> Counterexample:
    """r = 0 lies in the ball: the second line of Eq. (24) is 0 there, the third is not."""
    p, q = sp.Rational(3, 4), sp.Rational(1, 4)
    gradient_norm, epsilon, size = sp.Rational(1, 4), sp.Integer(1), sp.Integer(0)

    def line(radius: sp.Expr) -> sp.Expr:
        return radius * gradient_norm + p / (2 * q) * (radius * gradient_norm) ** 2

    return Counterexample(
        r"p_y = \tfrac34,\ \|\mathbf s\|_1 = 1,\ \epsilon = 1,\ \mathbf r = 0: \text{ the second line against the third}",
        line(size),
        "=",
        line(epsilon),
    )


EQ_24 = statement(
    id="eq-24",
    where="Appendix C, Eq. (24)",
    title="Hölder's inequality for the model, and one equality too many",
    printed=r"\nabla^T\mathbf r+\tfrac12\mathbf r^TH\mathbf r \le \|\mathbf r\|_\infty\|\nabla\|_1+\tfrac{p_y}{2(1-p_y)}(\|\mathbf r\|_\infty\|\nabla\|_1)^2 = \epsilon\|\nabla\|_1+\tfrac{p_y}{2(1-p_y)}(\epsilon\|\nabla\|_1)^2",
    corrected=r"\text{“}\le\text{” in place of “}=\text{”, because } \|\mathbf r\|_\infty \le \epsilon",
    transcription=True,
    hypotheses=(BINARY, "‖r‖_∞ ≤ ε"),
    depends=("eq-22",),
    derivation=proof(prove_ball, prove_worst, wrong=-1, mistake="the two lines exchanged"),
    counterexample=counterexample_eq_24,
)

EQ_25 = statement(
    id="eq-25",
    where="Appendix C, Eq. (25)",
    title="the norm in Eq. (25) is the 1-norm",
    printed=r"\nabla^T\mathbf r+\tfrac12\mathbf r^TH\mathbf r \le \epsilon(1-p_y)\|\mathbf v_+-\mathbf v_-\|+\tfrac12\epsilon^2p_y(1-p_y)\|\mathbf v_+-\mathbf v_-\|^2",
    corrected=r"\|\cdot\|_1 \text{ in both places; equality at } \mathbf r = \epsilon\operatorname{sign}(\nabla)",
    transcription=True,
    hypotheses=(BINARY, "‖r‖_∞ ≤ ε"),
    depends=("eq-24",),
    derivation=PROP_3_3.derivation,
)

# --- what η* does not bound (new) ------------------------------------------------------


def prove_below(order: int = 1) -> None:
    """softplus‴ = p'q'(1 − 2p') is positive left of the boundary and odd about it.

    f(t) − η(t) = ∫₀ᵗ ½(t − u)² f‴(u) du with f(t) = softplus(t − m). For t ≤ m the integrand
    is positive. For m < t ≤ 2m pair u = m − w with u = m + w: their weights differ by
    2w(t − m) ≥ 0, and what is left over, u < 2m − t, is positive.
    """
    u, w, t, m = sp.symbols("u w t m", real=True)
    sigma = 1 / (1 + sp.exp(-u))
    third = sigma * (1 - sigma) * (1 - 2 * sigma)
    prove_zero(sp.diff(sp.log(1 + sp.exp(u)), u, 3) - third, because="softplus‴")
    prove_zero(sp.simplify(third + third.subs(u, -u)), because="odd")
    x = sp.symbols("x", positive=True)
    left = third.subs(u, -x)  # = e^{-x}(1 − e^{-x})/(1 + e^{-x})³ with e^{-x} = 1/(1 + y)
    y = sp.symbols("y", positive=True)
    prove_sign(sp.factor(sp.simplify(left.subs(x, sp.log(1 + y)))), "positive")
    weights = ((t - (m - w)) ** 2 - (t - (m + w)) ** 2) / 2
    prove_zero(weights - 2 * order * w * (t - m), because="the pair's weights")


ETA_BELOW = statement(
    id="thm-eta-below-true-loss",
    where="new, on Proposition 3.3 and Eq. (2)",
    title="η* lies below the true worst-case loss",
    printed=r"0<\epsilon\|\mathbf s\|_1\le 2m:\quad \eta^* < \max_{\|\mathbf r\|_\infty\le\epsilon}\log(1+e^{-m(\mathbf x+\mathbf r)}) = \log(1+e^{-m+\epsilon\|\mathbf s\|_1})",
    hypotheses=(BINARY, CORRECT, DISTINCT, "the classifier affine over the ball"),
    depends=("prop-3.3", "eq-2-fgsm"),
    derivation=proof(prove_below, wrong=2, mistake="twice the weight"),
)

SECTION_2 = (EQ_2,)

CLAIMS = (PROP_3_2, FOOTNOTE_2, ANY_NORM, PROP_3_3, ETA_BELOW)

APPENDIX = (SCALAR, EQ_23, EQ_24, EQ_25)
