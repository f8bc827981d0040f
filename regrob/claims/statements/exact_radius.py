"""The exact radius with any number of classes: the secular equation, its hard case, its derivative, and ℓ_∞."""

from __future__ import annotations

from functools import partial

import sympy as sp

from regrob.claims.claim import Claim, proof
from regrob.claims.class_sums import weighted_moments
from regrob.claims.hypotheses import MODEL, OFF_KINKS
from regrob.claims.statements.lemma_3_1 import prove_root
from regrob.symbols import at_size, differentiate, for_every_size, prove_sign, prove_zero, sum_over

statement = partial(Claim, chapter="book/exact_radius")


theorem = partial(statement, where="new")


ANY = "any label with L < β; any β"

# --- the secular equation --------------------------------------------------------------


def prove_square(rest: int = 1) -> None:
    """∇ = Aw and ‖w‖² = q/p_y with w_k = √p_k (k ≠ y), w_y = −q/√p_y: for every K."""
    q, v_y, p_j, v_j = sp.symbols("q v_y p_j v_j")
    p_y, rivals = 1 - q, weighted_moments(q)
    mean = p_y * v_y + rivals(1, 1)  # v̄, one coordinate of it
    product = sum_over(p_j * (v_j - mean), rivals, p_j, v_j) - rest * q * (v_y - mean)
    prove_zero(product - (mean - v_y), because="∇ = Aw")
    prove_zero(q + (q / sp.sqrt(p_y)) ** 2 - q / p_y, because="‖w‖² = q/p_y")


def prove_certificate(at: sp.Expr, theta: sp.Expr, because: str) -> None:
    """½r² − θ(gain of r) + const = ½(1 − θλ)(r − at)², one eigendirection: no r of the same gain is shorter."""
    g, r = sp.symbols("g r", real=True)
    size, left = sp.symbols("lambda left", positive=True)
    lagrangian = r**2 / 2 - theta * (g * r + size * r**2 / 2)
    square = left / 2 * ((r - at) ** 2 - at**2)
    prove_zero(lagrangian - square.subs(left, 1 - theta * size), because=because)


def prove_secular(sign: int = -1) -> None:
    """One eigendirection at a time: the gain, its growth, and the certificate of the minimum."""
    g = sp.symbols("g", real=True)
    size, theta, left = sp.symbols("lambda theta left", positive=True)  # left = 1 − θλ > 0
    at = theta * g / (1 + sign * theta * size)  # r*_i
    secular = g**2 / (2 * size) * ((1 - theta * size) ** -2 - 1)
    prove_zero(g * at + size * at**2 / 2 - secular, because="the gain of r*")
    growth = sp.diff(secular, theta)
    prove_zero(growth - (g**2 / left**3).subs(left, 1 - theta * size), because="its growth")
    prove_sign(g**2 / left**3, "nonnegative")
    prove_certificate(at, theta, "the certificate")


def prove_scaled() -> None:
    """θ = κ/((1+κ)λ₁), λ = μλ₁, g² = λw²: the gain is w²h(h+2)/2, h = κμ/(1 + κ(1−μ))."""
    size, w, kappa, mu = sp.symbols("lambda_1 w kappa mu", positive=True)
    theta, own = kappa / ((1 + kappa) * size), mu * size
    secular = w**2 / 2 * ((1 - theta * own) ** -2 - 1)
    h = kappa * mu / (1 + kappa * (1 - mu))
    prove_zero(sp.together(secular - w**2 * h * (h + 2) / 2), because="the equation in κ")


def prove_exact_radius(sign: int = -1) -> None:
    """Completing the square, the secular equation, and its form without cancellation."""
    prove_square()
    prove_secular(sign)
    prove_scaled()


EXACT = statement(
    id="thm-exact-radius",
    where="new, in place of Proposition 4.1",
    title="the radius of the quadratic model, exactly",
    printed=r"\mathbf r^*=\theta(I-\theta H)^{-1}\nabla,\quad \theta\in(0,1/\lambda_1):\ \sum_i\frac{g_i^2}{2\lambda_i}\Big[\frac1{(1-\theta\lambda_i)^2}-1\Big]=\xi,\quad (\lambda_i) \text{ the eigenvalues of the } K\times K \text{ matrix } A^TA",
    hypotheses=(OFF_KINKS, MODEL, ANY, "H ≠ 0", "not the hard case"),
    depends=("lemma-4.1-gradient", "thm-exact-curvature"),
    derivation=proof(prove_exact_radius, wrong=1, mistake="(I + θH)⁻¹ in place of (I − θH)⁻¹"),
)

# --- the hard case ---------------------------------------------------------------------


def prove_hard_case(factor: int = 2) -> None:
    """At θ = 1/λ₁ the top direction drops out of the certificate, and t there gains λ₁t²/2."""
    for_every_size("one eigendirection after the other, whatever n and K")
    g, t = sp.symbols("g t", real=True)
    top, size, xi, limit = sp.symbols("lambda_1 lambda xi L", positive=True)
    theta = 1 / top
    prove_zero(t**2 / 2 - theta * (0 * t + top * t**2 / 2), because="the top direction's share")
    prove_certificate(theta * g / (1 - theta * size), theta, "the other directions' share")
    sideways = sp.sqrt(factor * (xi - limit) / top)
    prove_zero(limit + top * sideways**2 / 2 - xi, because="the step sideways uses up what is left")


HARD = theorem(
    id="thm-exact-radius-hard-case",
    title="the hard case: two shortest steps, neither along the gradient",
    printed=r"\nabla\perp\text{top eigenspace},\ \xi\ge L:=\sum_{\lambda_i<\lambda_1}\frac{g_i^2}{2\lambda_i}\Big[\frac1{(1-\lambda_i/\lambda_1)^2}-1\Big]:\quad \mathbf r^*=\sum_{\lambda_i<\lambda_1}\frac{g_i}{\lambda_1-\lambda_i}\,\mathbf u_i\pm\sqrt{\tfrac{2(\xi-L)}{\lambda_1}}\,\mathbf u_1",
    hypotheses=(OFF_KINKS, MODEL, ANY, "only with K ≥ 3", "λ₁ simple (otherwise a sphere of steps)"),
    depends=("thm-exact-radius",),
    derivation=proof(prove_hard_case, wrong=1, mistake="√((ξ − L)/λ₁) sideways"),
)

# --- the derivative --------------------------------------------------------------------


def prove_envelope(half: int = 2) -> None:
    """d(‖r*‖²) along g, λ and ξ, by differentiating the secular equation implicitly, every K.

    F(θ) = ξ is the equation, N(θ) = ‖r*‖². Since N' = 2θF', the change of θ drops out.
    """
    K = sp.Symbol("K", integer=True, positive=True)
    i, j = sp.symbols("i j", integer=True, nonnegative=True)
    g, size = sp.IndexedBase("g", real=True), sp.IndexedBase("lambda", positive=True)
    theta = sp.Symbol("theta", positive=True)

    def r(k: sp.Symbol) -> sp.Expr:
        return theta * g[k] / (1 - theta * size[k])

    gain = g[i] * r(i) + size[i] * r(i) ** 2 / 2
    prove_zero(sp.diff(r(i) ** 2, theta) - 2 * theta * sp.diff(gain, theta), because="N' = 2θF'")
    F, N = sp.Sum(gain, (i, 0, K - 1)), sp.Sum(r(i) ** 2, (i, 0, K - 1))
    for by, claimed in ((g[j], -2 * theta * r(j)), (size[j], -2 * theta * r(j) ** 2 / half)):
        total = differentiate(N, by, i) - 2 * theta * differentiate(F, by, i)
        prove_zero(total - claimed, because=f"along {by}")


ENVELOPE = theorem(
    id="thm-exact-radius-envelope",
    title="the derivative of the exact radius",
    printed=r"\mathrm d\|\mathbf r^*\|_2 = -\frac{\mathrm dL+\mathbf r^{*T}\mathrm d\nabla+\tfrac12\mathbf r^{*T}\mathrm dH\,\mathbf r^*}{\|\nabla+H\mathbf r^*\|_2}",
    hypotheses=(OFF_KINKS, ANY, "not the hard case"),
    depends=("thm-exact-radius",),
    derivation=proof(prove_envelope, wrong=1, mistake="no ½ before dH"),
)


def prove_conditioned(half: int = 2) -> None:
    """With S = ‖∇ + Hr*‖: ‖∇‖ ≤ S, ‖H‖ρ ≤ S and ξ ≤ ρS; so |dρ|/ρ ≤ (|dξ| + ρ‖d∇‖ + ½ρ²‖dH‖)/(ρS) is at most the sum.

    One eigendirection at a time: g + λr = g/(1 − θλ), and r·(g + λr) exceeds the gain by λr²/2. And ρ = θS.
    """
    for_every_size("one eigendirection after the other, and then numbers, whatever n and K")
    g, size, theta, left = sp.symbols("g lambda theta left", positive=True)
    r = theta * g / (1 - theta * size)
    prove_zero(g + size * r - g / (1 - theta * size), because="the slope")
    prove_sign((1 / left - 1).subs(left, 1 / (1 + sp.Symbol("k", positive=True))), "positive")
    work = r * (g + size * r) - (g * r + size * r**2 / half)
    prove_zero(work - size * r**2 / 2, because="what is left is a square")
    S, below, rho, xi, norm, curvature = sp.symbols("S below rho xi norm curvature", positive=True)
    prove_zero(S - size * (theta * S) - (S * below).subs(below, 1 - theta * size), because="‖H‖ρ ≤ S")
    d_xi, d_gradient, d_hessian = sp.symbols("d_xi d_gradient d_hessian", nonnegative=True)
    moved = (d_xi + rho * d_gradient + rho**2 * d_hessian / 2) / (rho * S)
    bound = d_gradient / norm + d_hessian / (2 * curvature) + d_xi / xi
    one, two, three = sp.symbols("one two three", nonnegative=True)  # S − ‖∇‖, S − ‖H‖ρ, ρS − ξ
    slack = (d_gradient * one / norm + d_hessian * two / (2 * curvature) + d_xi * three / (xi * rho)) / S
    values = {one: S - norm, two: S - curvature * rho, three: rho * S - xi}
    prove_zero(bound - moved - slack.subs(values), because="term by term")
    prove_sign(slack, "nonnegative", certificate=slack)


CONDITIONED = theorem(
    id="cor-exact-radius-conditioned",
    title="the radius is as well conditioned as a number can be",
    printed=r"\frac{|\mathrm d\rho|}{\rho}\le\frac{\|\mathrm d\nabla\|_2}{\|\nabla\|_2}+\frac12\,\frac{\|\mathrm dH\|_2}{\|H\|_2}+\frac{|\mathrm d\xi|}{\xi},\quad \rho=\|\mathbf r^*\|_2",
    hypotheses=(OFF_KINKS, ANY, "∇ ≠ 0, not the hard case"),
    depends=("thm-exact-radius-envelope",),
    derivation=proof(prove_conditioned, prove_envelope, wrong=1, mistake="rᵀHr without its ½"),
)

# --- the maximum norm ------------------------------------------------------------------


def prove_corner(factor: int = 1) -> None:
    """The model is convex: between two points it lies below its chord by a weighted variance, any K."""
    p_k, a_k, b_k, t = sp.symbols("p_k a_k b_k t")
    E = weighted_moments()

    def mean(value: sp.Expr) -> sp.Expr:
        return sum_over(p_k * value, E, p_k, a_k, b_k)

    def model(value: sp.Expr) -> sp.Expr:  # L + E[a] − a_y + Var[a]/2, with a_y = 0 and L = 0
        return mean(value) + (mean(value**2) - mean(value) ** 2) / 2

    chord = t * model(a_k) + (1 - t) * model(b_k) - model(t * a_k + (1 - t) * b_k)
    variance = mean((a_k - b_k) ** 2) - mean(a_k - b_k) ** 2
    prove_zero(chord - factor * t * (1 - t) * variance / 2, because="convexity")


SUP = statement(
    id="thm-exact-radius-linf",
    where="new, in place of Eqs. (39) and (40)",
    title="the exact radius in the maximum norm, corner by corner",
    printed=r"\|\tilde{\mathbf r}^*\|_\infty = \min_{\mathbf s}\frac{2\xi}{|\nabla^T\mathbf s|+\sqrt{(\nabla^T\mathbf s)^2+2\xi\,\mathbf s^TH\mathbf s}},\quad \mathbf s\in\{\pm1\}^n",
    hypotheses=(OFF_KINKS, MODEL, ANY, "any K", "corners along which the model does not rise are left out"),
    depends=("lemma-4.1-gradient", "lemma-4.1-hessian"),
    derivation=proof(prove_corner, prove_root, wrong=2, mistake="twice the variance"),
)


def prove_sort(turn: int = 1) -> None:
    """K = 3: of all corners of the box those n that s_c = sign(w·d_c) gives as w turns half round are enough.

    The gain of s depends on two numbers, Ds, the differences of a = Vᵀs. Over the box these fill a zonotope, whose
    corners come from such s. As w turns half round, each sign changes once.
    For s in the box Σ_c|w·d_c| − w·Ds is a sum of |w·d_c|(1 − s_c sign(w·d_c)) ≥ 0; −w gives −s, and the same radius.
    """
    at_size(K=3)
    p_1, p_2, shift = sp.symbols("p_1 p_2 shift")
    a = sp.symbols("a_0 a_1 a_2")
    p = (1 - p_1 - p_2, p_1, p_2)

    def gain(a: tuple[sp.Expr, ...]) -> sp.Expr:  # of label 0
        mean = sum(weight * value for weight, value in zip(p, a, strict=True))
        square = sum(weight * value**2 for weight, value in zip(p, a, strict=True))
        return mean - a[0] + (square - mean**2) / 2

    prove_zero(gain(a) - gain(tuple(value - turn * a[0] for value in a)), because="two differences suffice")
    prove_zero(gain(a) - gain(tuple(value + shift for value in a)), because="for any label")
    size, room = sp.symbols("size room", nonnegative=True)  # |w·d_c|, 1 − s_c sign(w·d_c)
    prove_sign(size * room, "nonnegative")
    angle = sp.symbols("angle", real=True)  # between w and d_c
    prove_zero(sp.cos(angle + turn * sp.pi) + sp.cos(angle), because="−w has the opposite signs")


SORT = statement(
    id="thm-exact-radius-linf-sort",
    where="new, in place of Eqs. (39) and (40)",
    title="with three classes, n corners are enough",
    printed=r"K = 3:\ n \text{ sign vectors, found by one sort, contain a minimiser of } \frac{2\xi}{|\nabla^T\mathbf s|+\sqrt{(\nabla^T\mathbf s)^2+2\xi\,\mathbf s^TH\mathbf s}}",
    hypotheses=(OFF_KINKS, MODEL, ANY, "K = 3"),
    depends=("thm-exact-radius-linf",),
    derivation=proof(prove_sort, wrong=2, mistake="a whole turn for half of one"),
)

CLAIMS = (EXACT, HARD, ENVELOPE, CONDITIONED, SUP, SORT)
