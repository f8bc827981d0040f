"""The nearest mistake: Eq. (1), the threshold log 2, and Lemma 3.1's two roots around the Taylor radius.

Eqs. (6) and (33), how the roots move, and when they are equal.
"""

from __future__ import annotations

import functools

import sympy as sp

from regrob.claims.claim import Claim, Counterexample, Verdict, proof
from regrob.claims.hypotheses import BINARY, DISTINCT, OFF_KINKS_SHORT
from regrob.claims.statements.lemma_4_1 import prove_psd
from regrob.claims.statements.proposition_3_1 import prove_cauchy_schwarz
from regrob.symbols import for_every_size, prove_equal, prove_sign, prove_zero

statement = functools.partial(Claim, chapter="book/lemma_3_1")

# --- Eq. (1): the nearest mistake ------------------------------------------------------


def prove_nearest(factor: int = 1) -> None:
    """‖r‖² − c²/‖w‖² = ‖r − (c/‖w‖²)w‖² + 2ce/‖w‖² for wᵀr = c + e: no nearer point, any n.

    For K classes the mistakes are a union of half-spaces, so the nearest is the nearest
    of their nearest points.
    """
    for_every_size("‖r‖², ‖w‖² and the gap are numbers, and one rival is taken after the other")
    R, W, c = sp.symbols("R W c", positive=True)  # ‖r‖², ‖w‖², the gap between two logits
    e = sp.symbols("e", nonnegative=True)
    square = R - 2 * c / W * (c + e) + (c / W) ** 2 * W
    prove_zero(R - factor * c**2 / W - square - 2 * c * e / W, because="completing the square")
    prove_sign(2 * c * e / W, "nonnegative")


EQ_1 = statement(
    id="eq-1-deepfool",
    where="Section 2.1, Eq. (1)",
    title="DeepFool's step is the shortest for a linear model",
    printed=r"\min_{\mathbf r}\|\mathbf r\|_2 \text{ s.t. } \operatorname{argmax}_k g(\mathbf x+\mathbf r)_k \ne \operatorname{argmax}_k g(\mathbf x)_k \text{ is solved by DeepFool for any linear model}",
    corrected=r"\inf\{\|\mathbf r\|_2\} = \min_{j\ne y} \frac{z_y - z_j}{\|\mathbf v_y - \mathbf v_j\|_2}; \text{ an infimum, as the boundary itself is a tie}",
    restated=True,
    hypotheses=(
        "affine classifier, any K",
        "y the one largest logit",
        "the minimum over rivals with v_j ≠ v_y; no other can overtake",
        "no box constraint",
    ),
    derivation=proof(prove_nearest, wrong=2, mistake="twice the squared distance"),
)

# --- the threshold ---------------------------------------------------------------------


def prove_threshold(beta: sp.Expr | None = None) -> None:
    """L = log(1 + e^{−m}) falls strictly in m and equals log 2 at m = 0, which is p_y = 1/2."""
    m = sp.symbols("m", real=True)
    L = sp.log(1 + sp.exp(-m))
    prove_sign(-sp.diff(L, m).rewrite(sp.exp), "positive")
    prove_equal(L.subs(m, 0), sp.log(2) if beta is None else beta, because="the loss at the boundary")


BETA = statement(
    id="remark-beta",
    where="Section 3.1, above Lemma 3.1",
    title="with two classes the loss crosses log 2 at the boundary",
    printed=r"\text{with the cross-entropy, } \beta = \log 2 \text{ separates correct from incorrect}",
    hypotheses=(BINARY,),
    derivation=proof(prove_threshold, wrong=sp.log(3), mistake="the threshold log 3"),
)

# --- the lower bound -------------------------------------------------------------------


def root(a: sp.Expr, b: sp.Expr, xi: sp.Expr, double: int = 2) -> sp.Expr:
    """The length at which a t + b t²/2 reaches ξ, in the rationalised form; 2 is `double`."""
    return 2 * xi / (a + sp.sqrt(a**2 + double * b * xi))


def prove_root(double: int = 2) -> None:
    """t = 2ξ/(a + √(a² + 2bξ)) solves at + bt²/2 = ξ, and the left side grows with t."""
    for_every_size("the slope a, the curvature b and the length t are numbers, whatever n and K")
    a, b, t, xi = sp.symbols("a b t xi", positive=True)
    rho = root(a, b, xi, double)
    prove_zero(a * rho + b * rho**2 / 2 - xi, because="the root reaches ξ")
    prove_sign(sp.diff(a * t + b * t**2 / 2, t), "positive")


def prove_lower(double: int = 2) -> None:
    """gᵀr ≤ at and rᵀHr ≤ bt² for ‖r‖ = t, so the model stays below ξ until at + bt²/2 = ξ.

    The first is Cauchy-Schwarz; Rayleigh's comes as Σ(b − λ_i)r_i² ≥ 0.
    """
    prove_cauchy_schwarz()
    gap, r_i = sp.symbols("gap", nonnegative=True), sp.symbols("r_i", real=True)  # b − λ_i
    prove_sign(gap * r_i**2, "nonnegative")
    prove_root(double)


LOWER = statement(
    id="lemma-3.1-lower",
    where="Lemma 3.1, Eq. (6), left",
    title="no step shorter than the lower root reaches the threshold",
    printed=r"\frac{\|\nabla\|_2}{\|H\|_2}\left(\sqrt{1+\frac{2\|H\|_2\xi}{\|\nabla\|_2^2}}-1\right) \le \|\mathbf r^*\|_2",
    corrected=r"\frac{2\xi}{\|\nabla\|_2+\sqrt{\|\nabla\|_2^2+2\|H\|_2\xi}} \le \|\mathbf r^*\|_2 \text{ (the same number, defined for } H = 0 \text{ and } \nabla = 0 \text{ too)}",
    restated=True,
    hypotheses=(
        "ξ > 0",
        "H symmetric, of any signature",
        "∇ and H not both zero",
        "‖r*‖₂ = ∞ where no step reaches β",
    ),
    derivation=proof(prove_lower, wrong=4, mistake="4 for 2 under the root"),
)

# --- the upper bound -------------------------------------------------------------------


def prove_upper(sign: int = 1) -> None:
    """Along the top eigenvector the model is |gᵀu|t + λt²/2: its root is a feasible length.

    `sign = −1` takes an H that bends downwards as much as ‖H‖₂ says it bends upwards.
    """
    for_every_size("|∇ᵀu| and the largest eigenvalue are numbers, whatever n and K")
    a, b, xi = sp.symbols("a b xi", positive=True)
    rho = root(a, b, xi)
    prove_zero(a * rho + sign * b * rho**2 / 2 - xi, because="the root along u reaches ξ")
    printed = a / b * (sp.sqrt(1 + 2 * b * xi / a**2) - 1)
    prove_zero(printed - rho, because="Eq. (6)'s form and the rationalised one")


def counterexample_indefinite() -> Counterexample:
    """H = diag(1, −10), ∇ = (1, 0), ξ = 1: the nearest point is √3 − 1 away, beyond the bound.

    r₁ + r₁²/2 − 5r₂² ≥ 1 asks for r₁ + r₁²/2 ≥ 1, so |r₁| ≥ √3 − 1, and r₂ = 0 will do.
    """
    size, along, xi = sp.Integer(10), sp.Integer(1), sp.Integer(1)
    printed = along / size * (sp.sqrt(1 + 2 * size * xi / along**2) - 1)
    return Counterexample(
        r"H = \operatorname{diag}(1,-10),\ \nabla = (1,0),\ \xi = 1,\ \mathbf u = (1,0): \ \|\mathbf r^*\|_2 \text{ against the upper bound}",
        sp.sqrt(3) - 1,
        "<=",
        printed,
    )


UPPER = statement(
    id="lemma-3.1-upper",
    where="Lemma 3.1, Eq. (6), right",
    title="the root along the top eigenvector bounds the radius from above",
    printed=r"\|\mathbf r^*\|_2 \le \frac{|\nabla^T\mathbf u|}{\|H\|_2}\left(\sqrt{1+\frac{2\|H\|_2\xi}{|\nabla^T\mathbf u|^2}}-1\right)",
    corrected=r"\text{this holds where } H \succeq 0, \text{ as for every network of this paper; for any other } H \text{ with } \lambda_{\max}(H) > 0 \text{ in place of } \|H\|_2",
    hypotheses=("ξ > 0", "λ_max(H) > 0", "H ⪰ 0, or λ_max(H) in place of ‖H‖₂"),
    derivation=proof(prove_upper, wrong=-1, mistake="curvature of the other sign"),
    counterexample=counterexample_indefinite,  # no Hessian of the paper's networks, which are positive semidefinite
    expected=Verdict.PARTLY,
)

MULTI = statement(
    id="eq-33",
    where="Appendix E, Eq. (33)",
    title="the same two roots for K classes",
    printed=r"\text{Eq. (6) with } \xi = \log K - \mathcal L(\mathbf x, y)",
    hypotheses=("ξ > 0: y is the argmax, not all logits equal", "x off the kinks, so that H ⪰ 0", "H ≠ 0"),
    depends=("lemma-3.1-lower", "lemma-3.1-upper", "remark-psd"),
    derivation=proof(prove_lower, prove_upper, prove_psd, wrong=4, mistake="4 for 2 under the root"),
)

# --- monotone, and equal at K = 2 ------------------------------------------------------


def prove_decreasing(sign: int = 1) -> None:
    """∂ρ/∂a = −2ξ/(R(a + R)) and ∂ρ/∂b = −2ξ²/(R(a + R)²), R = √(a² + 2bξ): both negative."""
    for_every_size("‖∇‖₂, ‖H‖₂ and ξ are numbers, whatever n and K")
    a, b, xi = sp.symbols("a b xi", positive=True)
    R = sp.sqrt(a**2 + 2 * b * xi)
    rho = 2 * xi / (a + R)
    for by, slope in ((a, 2 * xi / (R * (a + R))), (b, 2 * xi**2 / (R * (a + R) ** 2))):
        prove_zero(sp.diff(rho, by) + sign * slope, because=f"∂ρ/∂{by}")
        prove_sign(slope, "positive")


DECREASING = statement(
    id="eq-33-decreasing",
    where="Appendix E, between Eqs. (36) and (37)",
    title="the lower root falls as ‖∇‖₂ or ‖H‖₂ grows",
    printed=r"\text{the lower bound in Eq. (33) is monotonically decreasing in } \|H\|_2 \text{ or } \|\nabla\|_2",
    hypotheses=("ξ > 0", "‖∇‖₂ and ‖H‖₂ not both zero"),
    depends=("eq-33",),
    derivation=proof(prove_decreasing, wrong=-1, mistake="increasing instead"),
)


def prove_collapse(weight: int = 1) -> None:
    """H∇ = p_y q‖s‖²∇ in every coordinate, and Hr = 0 for r ⟂ s: no other nonzero eigenvalue.

    So |∇ᵀu| = ‖∇‖₂ = qν, and the root of both bounds is Proposition 3.1's.
    """
    p, q, s, S = sp.symbols("p q s S")  # one coordinate of s; S = sᵀs
    gradient = -q * s
    H_times_gradient = p * q * s * (-q * S)  # p q s (sᵀ∇)
    prove_zero(H_times_gradient - weight * p * q * S * gradient, because="H∇ = ‖H‖₂∇")
    prob, rival, nu, xi = sp.symbols("p q nu xi", positive=True)
    a, b = rival * nu, prob * rival * nu**2
    rho = root(a, b, xi)
    radius = (sp.sqrt(1 + 2 * prob * xi / rival) - 1) / (prob * nu)
    prove_zero(rho - radius, because="both bounds are the radius")


COLLAPSE = statement(
    id="lemma-3.1-collapse",
    where="Section 3.1, below Lemma 3.1; Appendix B",
    title="with two classes both bounds are the radius itself",
    printed=r"\text{the derived bounds collapse to the same expression in binary classification: } \mathbf u = \pm\nabla/\|\nabla\|_2",
    hypotheses=(BINARY, OFF_KINKS_SHORT, "p_y > 1/2", DISTINCT),
    depends=("lemma-3.1-lower", "lemma-3.1-upper", "lemma-3.2-gradient", "lemma-3.2-hessian"),
    derivation=proof(prove_collapse, wrong=2, mistake="twice the eigenvalue"),
)

SECTION_2 = (EQ_1,)

CLAIMS = (BETA, LOWER, UPPER, COLLAPSE)

APPENDIX = (MULTI, DECREASING)
