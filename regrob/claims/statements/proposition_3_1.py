"""Proposition 3.1: the Taylor radius of two classes, how it grows, and the true margin beside it."""

from __future__ import annotations

from functools import partial

import sympy as sp

from regrob.claims.claim import Claim, Counterexample, proof
from regrob.claims.hypotheses import BINARY, CORRECT, DISTINCT, MODEL, NO_BIASES, OFF_KINKS
from regrob.symbols import for_every_size, prove_equal, prove_sign, prove_zero

statement = partial(Claim, chapter="book/proposition_3_1")


theorem = partial(statement, where="new")

# --- Proposition 3.1 -------------------------------------------------------------------


def prove_cauchy_schwarz() -> None:
    """∇ᵀr ≤ ‖∇‖‖r‖ for any n: the gap is ‖ ‖r‖∇ − ‖∇‖r ‖²/(2‖∇‖‖r‖)."""
    for_every_size("‖∇‖, ‖r‖ and ∇ᵀr are numbers, whatever n and K")
    slope, length = sp.symbols("slope length", positive=True)  # ‖∇‖ and ‖r‖
    dot = sp.symbols("dot", real=True)  # ∇ᵀr
    square = length**2 * slope**2 - 2 * length * slope * dot + slope**2 * length**2
    prove_zero(slope * length - dot - square / (2 * slope * length), because="Cauchy-Schwarz, any n")


def prove_roots() -> None:
    """With t = ∇ᵀr the model is t + (p/2q)t²; it is ξ at (q/p)(±√(1 + 2pξ/q) − 1), the positive root nearer."""
    p, q, xi = sp.symbols("p q xi", positive=True)  # q stands for 1 − p
    t = sp.symbols("t", real=True)
    up = q / p * (sp.sqrt(1 + 2 * p * xi / q) - 1)
    down = -q / p * (sp.sqrt(1 + 2 * p * xi / q) + 1)
    prove_zero(p / (2 * q) * (t - up) * (t - down) - (t + p * t**2 / (2 * q) - xi), because="the roots")
    prove_sign(-down - up, "positive", certificate=2 * q / p)


def prove_radius(outside: int = 1) -> None:
    """(√(1 + 2pξ/q) − 1)/(pν) solves ‖∇‖ρ + ‖H‖ρ²/2 = ξ; `outside=0` moves the −1 inside.

    And no shorter step will do: the model reaches ξ only at or beyond its roots t₊ and t₋ in
    t = ∇ᵀr, and |t| ≤ ‖∇‖‖r‖. So ‖r‖ ≥ t₊/‖∇‖, as −t₋ > t₊.
    """
    prove_roots()
    prove_cauchy_schwarz()
    p, q, nu, xi = sp.symbols("p q nu xi", positive=True)
    inner = 1 + 2 * p * xi / q
    rho = (sp.sqrt(inner) - 1 if outside else sp.sqrt(inner - 1)) / (p * nu)
    prove_zero(q * nu * rho + p * q * nu**2 * rho**2 / 2 - xi, because="the quadratic model reaches β")


PROP_3_1 = statement(
    id="prop-3.1",
    where="Proposition 3.1, in the form of Eq. (20)'s last line",
    title="the Taylor radius in closed form",
    printed=r"\|\mathbf r^*\|_2 = \frac{1}{p_y\|\mathbf v_+-\mathbf v_-\|_2}\left(\sqrt{1+\frac{2p_y\xi}{1-p_y}}-1\right)",
    hypotheses=(BINARY, OFF_KINKS, CORRECT, DISTINCT, "β = log 2", MODEL),
    depends=("lemma-3.2-gradient", "lemma-3.2-hessian"),
    derivation=proof(prove_radius, wrong=0, mistake="the −1 under the root"),
)


def counterexample_eq_8() -> Counterexample:
    """p = 4/5, ν = 1: put the printed radius into the quadratic model."""
    p, xi = sp.Rational(4, 5), sp.log(sp.Rational(8, 5))
    rho = sp.sqrt(2 * p * xi / (1 - p)) / p
    model = (1 - p) * rho + p * (1 - p) * rho**2 / 2
    return Counterexample(
        r"p_y = \tfrac45,\ \nu = 1,\ \xi = \log\tfrac85: \text{ model at the printed radius against } \xi",
        model,
        "=",
        xi,
    )


EQ_8 = statement(
    id="eq-8",
    where="Proposition 3.1, Eq. (8)",
    title="Eq. (8) with the −1 under the root",
    printed=r"\|\mathbf r^*\|_2 = \frac{1}{p_y\|\mathbf v_+-\mathbf v_-\|_2}\left(\sqrt{1+\frac{2p_y\xi}{1-p_y}-1}\right)",
    corrected=PROP_3_1.printed,
    hypotheses=PROP_3_1.hypotheses,
    transcription=True,  # Eq. (20) ends in the right form
    depends=("prop-3.1",),
    derivation=PROP_3_1.derivation,
    counterexample=counterexample_eq_8,
)


def prove_20(power: int = 1) -> None:
    """Put ‖∇‖ = q‖s‖ and ‖H‖ = pq‖s‖² into the first line: ‖s‖ cancels under the root, and the last line is left."""
    p, q, size, xi = sp.symbols("p q s xi", positive=True)  # s is ‖v₊ − v₋‖
    gradient, curvature = q * size, p * q * size**2
    first = gradient / curvature * (sp.sqrt(1 + 2 * curvature * xi / gradient**2) - 1)
    middle = q * size / (p * q * size**2)
    middle *= sp.sqrt(1 + 2 * p * q * size**2 * xi / (q**2 * size**2)) - 1
    last = (sp.sqrt(1 + 2 * p * xi / q**power) - 1) / (p * size)
    prove_zero(first - middle, because="first and middle line")
    prove_zero(middle - last, because="middle and last line")


def counterexample_20() -> Counterexample:
    """p = 4/5, ‖s‖ = 1, ξ = log 8/5: the printed middle lines, without ξ and with the −1 inside, against the last one."""
    p, xi = sp.Rational(4, 5), sp.log(sp.Rational(8, 5))
    q = 1 - p
    return Counterexample(
        r"p_y = \tfrac45,\ \nu = 1,\ \xi = \log\tfrac85: \text{ the printed middle lines against the last line}",
        q / (p * q) * sp.sqrt(1 + 2 * p * q / q**2 - 1),
        "=",
        (sp.sqrt(1 + 2 * p * xi / q) - 1) / p,
    )


EQ_20 = statement(
    id="eq-20",
    where="Appendix B, Eq. (20), the lines in the middle",
    title="on the way to the Taylor radius",
    printed=r"\frac{(1-p_y)\|\mathbf s\|_2}{p_y(1-p_y)\|\mathbf s\|_2^2}\sqrt{1+\frac{2p_y(1-p_y)\|\mathbf s\|_2^2}{(1-p_y)^2\|\mathbf s\|_2^2}-1},\quad \mathbf s=\mathbf v_+-\mathbf v_-",
    corrected=r"\frac{(1-p_y)\|\mathbf s\|_2}{p_y(1-p_y)\|\mathbf s\|_2^2}\left(\sqrt{1+\frac{2p_y(1-p_y)\|\mathbf s\|_2^2\,\xi}{(1-p_y)^2\|\mathbf s\|_2^2}}-1\right)",
    hypotheses=PROP_3_1.hypotheses,
    transcription=True,  # the first and the last line have ξ, and the −1 outside
    depends=("lemma-3.1-collapse",),
    derivation=proof(prove_20, wrong=2, mistake="q² under the last root"),
    counterexample=counterexample_20,
)


def prove_correct(sign: int = 1) -> None:
    """Without biases log(p_y/q) = y sᵀx: a number above 0 needs s ≠ 0, and ν ≥ m/‖x‖; a finite one leaves p_y < 1."""
    prove_cauchy_schwarz()
    m = sp.Symbol("m", positive=True)
    p = 1 / (1 + sp.exp(-m))
    prove_zero(sp.expand_log(sp.log(sp.simplify(p / (1 - p)))) - sign * m, because="the odds are eᵐ")
    e = sp.Symbol("e", positive=True)  # e^m − 1
    prove_sign(sp.factor((p - sp.Rational(1, 2)).subs(sp.exp(-m), 1 / (1 + e))), "positive")
    prove_sign(sp.factor((1 - p).subs(sp.exp(-m), 1 / (1 + e))), "positive")


CORRECT_NU = statement(
    id="remark-correct-nu",
    where="Appendix B, first paragraph",
    title="classified correctly, so ν is not zero",
    printed=r"p_y > \tfrac12 \text{ and hence } \|\mathbf v_+-\mathbf v_-\|_2 \ne 0; \text{ with } \mathbf x \text{ and } \mathbf v_+-\mathbf v_- \text{ finite, } p_y \ne 1",
    hypotheses=(BINARY, CORRECT, NO_BIASES),  # with biases V = 0 can be right: then ν = 0
    depends=("eq-3",),
    derivation=proof(prove_correct, wrong=-1, mistake="the odds upside down"),
)


def prove_any_probability(sign: int = 1) -> None:
    """x = ts/‖s‖² has log-odds t in the linear network z₊ − z₋ = sᵀx, so its probability p₊ grows through all of (0, 1)."""
    t, S = sp.symbols("t S", positive=True)  # S = ‖s‖²
    prove_zero(t / S * S - sign * t, because="sᵀx = t")
    u = sp.Symbol("u", real=True)
    p = 1 / (1 + sp.exp(-u))
    prove_sign(sp.diff(p, u), "positive")
    prove_zero(sp.limit(p, u, -sp.oo), because="the limit on the left")
    prove_zero(sp.limit(p, u, sp.oo) - 1, because="the limit on the right")


FOOTNOTE_1 = statement(
    id="remark-footnote-1",
    where="Section 3.1, footnote 1",
    title="one V, many probabilities",
    printed=r"\text{“Within linear networks where all instances share the same } \mathbf v_+ \text{ and } \mathbf v_-, \text{ we can still have different prediction probabilities”}",
    reading=r"\nu > 0:\ \text{the probabilities of the inputs of a linear network fill } (0, 1)",
    hypotheses=(BINARY, DISTINCT, "a linear network, no box constraint"),
    derivation=proof(prove_any_probability, wrong=-1, mistake="the other sign"),
)


def prove_monotone(claim_sign: int = 1) -> None:
    """d‖r*‖/dp > 0 at fixed ν, by the implicit derivative of q τ + pq τ²/2 = log 2p.

    With p = (1 + s)/2 and 0 < s < 1 every factor shows its sign. The two limits are SymPy's.
    """
    p, tau, s, rest = sp.symbols("p tau s rest", positive=True)  # rest = 1 − s
    equation = (1 - p) * tau + p * (1 - p) * tau**2 / 2 - sp.log(2 * p)
    rate = -sp.diff(equation, p) / sp.diff(equation, tau)
    claimed = (tau + (2 * p - 1) * tau**2 / 2 + 1 / p) / ((1 - p) * (1 + p * tau))
    prove_equal(rate, claimed, because="implicit derivative")
    in_s = (tau + s * tau**2 / 2 + 2 / (1 + s)) / (rest / 2 * (1 + (1 + s) / 2 * tau))
    prove_zero(in_s.subs(rest, 1 - s) - claimed.subs(p, (1 + s) / 2), because="p = (1 + s)/2")
    prove_sign(claim_sign * in_s, "positive")
    closed = (sp.sqrt(1 + 2 * p * sp.log(2 * p) / (1 - p)) - 1) / p
    prove_zero(sp.limit(closed, p, sp.Rational(1, 2), "+"), because="the limit at 1/2")
    prove_zero(sp.limit(1 / closed, p, 1, "-"), because="the limit at 1")


MONOTONE = statement(
    id="remark-radius-monotone",
    where="Section 3.1, Figure 1 and the text below Eq. (8)",
    title="the radius grows with the predicted probability",
    printed=r"p_y \mapsto \|\mathbf r^*\|_2 \text{ increases on } (0.5, 1.0] \text{ at fixed } \nu",
    corrected=r"p_y \mapsto \|\mathbf r^*\|_2 \text{ increases strictly on } (\tfrac12, 1) \text{ at fixed } \nu;\ \to 0 \text{ at } \tfrac12,\ \to \infty \text{ at } 1",
    restated=True,
    hypotheses=(BINARY, "1/2 < p_y < 1", "ν > 0 held fixed"),
    depends=("prop-3.1",),
    derivation=proof(prove_monotone, wrong=-1, mistake="decreasing instead"),
)

# --- New: the Taylor radius against the true margin ------------------------------------


def prove_overshoot(factor: int = 1) -> None:
    """τ'(m) − 1 = p(2p − 1)τ²/(2(1 + pτ)) > 0 for p > ½, and τ(0) = 0: so τ(m) > m for m > 0."""
    p, tau = sp.symbols("p tau", positive=True)
    equation_p = -tau + (1 - 2 * p) * tau**2 / 2 - 1 / p  # ∂/∂p of qτ + pqτ²/2 − log 2p
    equation_tau = (1 - p) + p * (1 - p) * tau
    rate = -equation_p / equation_tau * p * (1 - p)  # dp/dm = pq
    claimed = 1 + factor * p * (2 * p - 1) * tau**2 / (2 * (1 + p * tau))
    prove_equal(rate, claimed, because="τ'(m)")
    s = sp.symbols("s", positive=True)  # p = (1 + s)/2
    prove_sign((claimed - 1).subs(p, (1 + s) / 2), "positive")


OVERSHOOT = theorem(
    id="thm-taylor-overshoots",
    title="the Taylor radius always exceeds the true margin",
    printed=r"\|\mathbf r^*\|_2 > d = \frac{m}{\nu} \text{ whenever } m = \log\frac{p_y}{1-p_y} > 0",
    hypotheses=(
        BINARY,
        CORRECT,
        DISTINCT,
        "d is the distance to the boundary of the local affine classifier",
    ),
    depends=("prop-3.1",),
    derivation=proof(prove_overshoot, wrong=2, mistake="twice the excess slope"),
)


def prove_convex(sign: int = 1) -> None:
    """d²τ/dp² > 0 on (½, 1), from dτ/dm = 1 + p(2p − 1)τ²/(2(1 + pτ)) and m = log(p/(1 − p)).

    With p = ½ + ½u/(1 + u), u > 0, the second derivative is a ratio of polynomials in u and τ
    whose coefficients are all positive.
    """
    p, tau, u = sp.symbols("p tau u", positive=True)
    rate = 1 + p * (2 * p - 1) * tau**2 / (2 * (1 + p * tau))
    m = sp.log(p) - sp.log(1 - p)
    bend = sp.diff(rate, tau) * rate + sp.diff(rate, p) * p * (1 - p)  # d²τ/dm², as dp/dm = p(1 − p)
    second = bend * sp.diff(m, p) ** 2 + sign * rate * sp.diff(m, p, 2)
    prove_sign(second.subs(p, (1 + u / (1 + u)) / 2), "positive")


CONVEX = statement(
    id="thm-radius-convex",
    where="new, on Figure 1",
    title="the radius is convex in the predicted probability",
    printed=r"p_y \mapsto \|\mathbf r^*\|_2 \text{ is strictly convex on } (\tfrac12, 1) \text{ at fixed } \nu",
    hypotheses=(BINARY, "1/2 < p_y < 1", "ν > 0 held fixed"),
    depends=("thm-taylor-overshoots",),
    derivation=proof(prove_convex, wrong=-1, mistake="a logit that is concave in p"),
)

CLAIMS = (PROP_3_1, EQ_8, FOOTNOTE_1, MONOTONE, OVERSHOOT, CONVEX)

APPENDIX = (CORRECT_NU, EQ_20)
