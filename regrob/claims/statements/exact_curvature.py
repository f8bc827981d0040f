"""The curvature with any number of classes, exactly: the K×K form, products with H, and its gradient."""

from __future__ import annotations

from functools import partial

import sympy as sp

from regrob.claims.claim import Claim, proof
from regrob.claims.class_sums import weighted_moments
from regrob.claims.hypotheses import ANY_LABEL_ANY_K, OFF_KINKS
from regrob.errors import ProofError
from regrob.symbols import differentiate, for_every_size, prove_equal, prove_sign, prove_zero, sum_over

statement = partial(Claim, chapter="book/exact_curvature")


theorem = partial(statement, where="new")


SIMPLE = "H's largest eigenvalue is simple, u its unit eigenvector"

# --- the K×K form ----------------------------------------------------------------------


def prove_exact_curvature(centred: int = 1) -> None:
    """H = AAᵀ entry by entry for every K, and AᵀA w = λw makes Aw an eigenvector of AAᵀ."""
    p_k, a_k, b_k = sp.symbols("p_k a_k b_k")
    E = weighted_moments()
    mean_a, mean_b = E(1, 1, 0), E(1, 0, 1)
    entry = sum_over(p_k * (a_k - centred * mean_a) * (b_k - centred * mean_b), E, p_k, a_k, b_k)
    prove_equal(entry, E(1, 1, 1) - mean_a * mean_b, because="H = AAᵀ")
    n, K = sp.symbols("n K", integer=True, positive=True)
    size = sp.Symbol("lambda", positive=True)
    A, w = sp.MatrixSymbol("A", n, K), sp.MatrixSymbol("w", K, 1)
    inside = A.T * A * w - size * w
    outside = A * A.T * A * w - size * A * w
    if sp.expand(A * inside) != sp.expand(outside):
        raise ProofError("A(AᵀAw − λw) is not AAᵀ(Aw) − λ(Aw)")


EXACT = statement(
    id="thm-exact-curvature",
    where="new, on Appendix H",
    title="the curvature is the largest eigenvalue of a K×K matrix",
    printed=r"H = AA^T,\ A = \left[\sqrt{p_k}\,(\mathbf v_k - \bar{\mathbf v})\right]_k,\quad \|H\|_2 = \lambda_{\max}(A^TA)",
    hypotheses=(OFF_KINKS, ANY_LABEL_ANY_K),
    depends=("lemma-4.1-hessian",),
    derivation=proof(prove_exact_curvature, wrong=0, mistake="the mean v̄ not taken away"),
)


APPENDIX_H = statement(
    id="remark-appendix-h",
    where="Appendix H, and the captions of Figures 5 and 7",
    title="must a multi-class curvature penalty approximate?",
    printed=r"\text{“some approximations seem inevitable”}",
    reading=r"\text{the question whether } \|H\|_2 \text{ can be computed for } K > 2 \text{ without an approximation}",
    corrected=r"\text{it can: } \|H\|_2 = \lambda_{\max}(A^TA), \text{ a } K\times K \text{ eigenvalue problem, for every } K",
    hypotheses=("rounding aside", "H inside the polytope, as everywhere in the paper"),
    depends=("thm-exact-curvature",),
    derivation=EXACT.derivation,
)

# --- three classes ---------------------------------------------------------------------


def prove_three_classes(factor: int = 4) -> None:
    """H = D M′ Dᵀ with D = [v₁ − v₀, v₂ − v₀]: trace and determinant of the 2×2 matrix M′DᵀD."""
    p0, p1, p2 = sp.symbols("p0 p1 p2", positive=True)
    ss, tt, st = sp.symbols("ss tt st", real=True)  # inner products of the two differences
    M = sp.Matrix([[p1 * (1 - p1), -p1 * p2], [-p1 * p2, p2 * (1 - p2)]])
    small = M * sp.Matrix([[ss, st], [st, tt]])
    T = p0 * p1 * ss + p0 * p2 * tt + p1 * p2 * (ss - 2 * st + tt)
    area_squared = (ss * tt - st**2) / 4
    product = factor * p0 * p1 * p2 * area_squared
    whole = {p0: 1 - p1 - p2}
    prove_zero(small.trace() - T.subs(whole), because="the trace")
    prove_zero(small.det() - product.subs(whole), because="the determinant")
    T, e2 = sp.symbols("T e2", positive=True)
    root = (T + sp.sqrt(T**2 - 4 * e2)) / 2
    prove_zero(root**2 - T * root + e2, because="the larger root")


THREE = theorem(
    id="thm-curvature-three-classes",
    title="the curvature of three classes, without eigenvalues",
    printed=r"K=3:\ \|H\|_2 = \tfrac12\Big(T+\sqrt{T^2-16\,p_0p_1p_2\,\mathrm{Area}^2}\Big),\quad T=\sum_{i<j}p_ip_j\|\mathbf v_i-\mathbf v_j\|_2^2,\ \mathrm{Area}=\text{area of the triangle }\mathbf v_0\mathbf v_1\mathbf v_2",
    hypotheses=(OFF_KINKS, "K = 3", "any n, any label"),
    depends=("thm-exact-curvature", "lemma-4.1-pairs"),
    derivation=proof(prove_three_classes, wrong=1, mistake="Area² without the 4"),
)

# --- products with H -------------------------------------------------------------------


def prove_product(centred: int = 1) -> None:
    """Along x + t r the logits are z + t a: d/dt p_j = p_j(a_j − ā), so that Hr = V(p∘(a − ā))."""
    K = sp.Symbol("K", integer=True, positive=True)
    k, j = sp.symbols("k j", integer=True, nonnegative=True)
    t = sp.Symbol("t", real=True)
    z, a = sp.IndexedBase("z", real=True), sp.IndexedBase("a", real=True)
    Z = sp.Sum(sp.exp(z[k] + t * a[k]), (k, 0, K - 1))
    rate = sp.diff(sp.exp(z[j] + t * a[j]) / Z, t)
    mean = sp.Sum(a[k] * sp.exp(z[k] + t * a[k]), (k, 0, K - 1)) / Z
    prove_zero(rate - sp.exp(z[j] + t * a[j]) / Z * (a[j] - centred * mean), because="how p moves")


PRODUCT = theorem(
    id="thm-hessian-vector",
    title="H times a vector from one pass each way",
    printed=r"H\mathbf r = V\big(p\circ(\mathbf a-p^T\mathbf a)\big),\ \mathbf a=V^T\mathbf r:\quad \text{the Gauss–Newton matrix is the Hessian}",
    hypotheses=(OFF_KINKS, ANY_LABEL_ANY_K),
    depends=("lemma-4.1-jacobian", "lemma-4.1-hessian"),
    derivation=proof(prove_product, wrong=0, mistake="the mean of a not taken away"),
)

# --- the gradient of the curvature -----------------------------------------------------


def prove_curvature_gradient(factor: int = 2) -> None:
    """∂/∂a_j and ∂/∂z_j of Var_p(a) = E[a²] − E[a]², p = softmax z, for every K."""
    K = sp.Symbol("K", integer=True, positive=True)
    k, j = sp.symbols("k j", integer=True, nonnegative=True)
    z, a = sp.IndexedBase("z", real=True), sp.IndexedBase("a", real=True)

    def total(term: sp.Expr) -> sp.Expr:
        return sp.Sum(sp.exp(z[k]) * term, (k, 0, K - 1))

    Z, mean = total(sp.S.One), total(a[k]) / total(sp.S.One)
    variance = total(a[k] ** 2) / Z - mean**2
    p_j = sp.exp(z[j]) / Z
    # Names for the three sums, so that what is left to simplify is a rational function.
    names = {Z: sp.Symbol("Z"), total(a[k]): sp.Symbol("S1"), total(a[k] ** 2): sp.Symbol("S2")}
    deviation = a[j] - mean
    for by, claimed in ((a[j], factor * p_j * deviation), (z[j], p_j * (deviation**2 - variance))):
        slope = differentiate(variance, by, k).doit(deep=False)
        prove_zero((slope - claimed).expand().subs(names), because="the slope of a variance")


def prove_ties(factor: int = 4) -> None:
    """rᵀ(H + tE)r ≤ λ₁ + tμ + 4t²ε²/δ for every unit r; and λ₁ + tμ is reached by UᵀEU's top eigenvector.

    r = αu + βw, u in the top eigenspace and w across; μ = λ_max(UᵀEU), ε = ‖E‖₂, δ the gap below λ₁.
    The slack is (2tε/√δ − √δ|β|)² + t|β|(2ε(1 − |β|) + |β|(ε + μ)). For t < λ₁/(2ε) no other eigenvalue is as large
    in size, so that the largest one is ‖H + tE‖₂.
    """
    for_every_size("r is split into its part in the top eigenspace and the rest, whatever n and K")
    t, size, gap, top = sp.symbols("t epsilon delta lambda_1", positive=True)
    beta, mu = sp.symbols("beta mu", real=True)
    reach = (1 - beta**2) * top + beta**2 * (top - gap)  # α² = 1 − β², wᵀHw ≤ λ₁ − δ
    reach += t * ((1 - beta**2) * mu + 2 * beta * size + beta**2 * size)  # uᵀEu ≤ μ, |uᵀEw|, wᵀEw ≤ ε
    slack = top + t * mu + factor * t**2 * size**2 / gap - reach
    square = (2 * t * size / sp.sqrt(gap) - sp.sqrt(gap) * beta) ** 2
    prove_zero(slack - square - t * beta * (2 * size * (1 - beta) + beta * (size + mu)), because="the slack")
    part, rest, above = sp.symbols("part rest above", nonnegative=True)  # |β|, 1 − |β|, ε + μ
    prove_sign(t * part * (2 * size * rest + part * above), "nonnegative")
    room = sp.Symbol("room", positive=True)  # λ₁ − 2tε
    prove_sign((room + 2 * t * size) - t * size - t * size, "positive")  # λ₁ − tε > tε, and H ⪰ 0


def prove_clarke() -> None:
    """λ_max is convex, and each unit u of the top eigenspace gives a subgradient uuᵀ: uᵀ(H + E)u ≤ λ_max(H + E).

    For a convex function Clarke's subdifferential is the set of its subgradients; `eigh` returns such a u.
    """
    for_every_size("one eigendirection of H + E after the other")
    gap, r_i = sp.symbols("gap", nonnegative=True), sp.symbols("r_i", real=True)  # λ_max − λ_i
    prove_sign(gap * r_i**2, "nonnegative")  # λ_max‖u‖² − uᵀ(H + E)u is the sum of these


GRADIENT = theorem(
    id="thm-curvature-gradient",
    title="the gradient of the curvature",
    printed=r"\frac{\partial\|H\|_2}{\partial V} = 2\,\mathbf u\,\big(p\circ(\mathbf a-\bar a)\big)^T,\quad \frac{\partial\|H\|_2}{\partial z_k} = p_k\big((a_k-\bar a)^2-\|H\|_2\big),\quad \mathbf a = V^T\mathbf u,\ \bar a = p^T\mathbf a",
    hypotheses=(OFF_KINKS, SIMPLE),
    depends=("thm-exact-curvature",),
    derivation=proof(prove_curvature_gradient, prove_ties, wrong=1, mistake="half of ∂/∂V"),
)


TIES = theorem(
    id="thm-curvature-ties",
    title="where the top eigenvalue is multiple",
    printed=r"\|H+tE\|_2 = \|H\|_2 + t\,\lambda_{\max}(U^TEU) + O(t^2),\ t\downarrow0,\quad U \text{ a basis of the top eigenspace; autograd returns a Clarke element}",
    hypotheses=(OFF_KINKS, "E symmetric", "the top eigenvalue of H is positive, of any multiplicity"),
    depends=("thm-curvature-gradient",),
    derivation=proof(prove_ties, prove_clarke, wrong=3, mistake="3 in place of 4"),
)

CLAIMS = (EXACT, APPENDIX_H, THREE, PRODUCT, GRADIENT, TIES)
