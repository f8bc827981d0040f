"""The curvature with any number of classes, exactly: the K×K form, and products with H."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor, nn

from regrob.claims.claim import Check, Claim, Counterexample, Derivation, Text, Verdict
from regrob.claims.instances import Draw, Sample, autograd_noise
from regrob.claims.many import CLASSES, OFF_KINKS, Case, both
from regrob.errors import ProofError
from regrob.symbols import prove_equal, prove_zero, sum_over
from regrob.theory import derivatives

PAGE = "book/exact_curvature"

# --- the K×K form ----------------------------------------------------------------------


def prove_exact_curvature(centred: int = 1) -> None:
    """H = AAᵀ entry by entry for every K, and AᵀA w = λw makes Aw an eigenvector of AAᵀ."""
    p_k, a_k, b_k = sp.symbols("p_k a_k b_k")

    def moment(i: int, j: int, k: int) -> sp.Expr:
        return sp.S.One if (i, j, k) == (1, 0, 0) else sp.Symbol(f"E{j}{k}")

    mean_a, mean_b = centred * moment(1, 1, 0), centred * moment(1, 0, 1)
    entry = sum_over(p_k * (a_k - mean_a) * (b_k - mean_b), moment, p_k, a_k, b_k)
    prove_equal(entry, moment(1, 1, 1) - moment(1, 1, 0) * moment(1, 0, 1), because="H = AAᵀ")
    n, K = sp.symbols("n K", integer=True, positive=True)
    size = sp.Symbol("lambda", positive=True)
    A, w = sp.MatrixSymbol("A", n, K), sp.MatrixSymbol("w", K, 1)
    inside = A.T * A * w - size * w
    outside = A * A.T * A * w - size * A * w
    if sp.expand(A * inside) != sp.expand(outside):
        raise ProofError("A(AᵀAw − λw) is not AAᵀ(Aw) − λ(Aw)")


def gram_norm(case: Case, *, centred: bool = True) -> Tensor:
    """λ_max of the K×K matrix √p_i √p_j (v_i − v̄)ᵀ(v_j − v̄), formed by the definition: (T,)."""
    root = (0.5 * torch.log_softmax(case.z, dim=-1)).exp()
    columns = case.V - derivatives.column(case.V, case.z.argmax(dim=-1))
    if centred:
        columns = columns - columns @ root.square().unsqueeze(-1)
    A = columns * root.unsqueeze(-2)
    largest: Tensor = torch.linalg.eigvalsh(A.mT @ A)[..., -1]
    return largest


EXACT = Claim(
    id="thm-exact-curvature",
    where="new, on Appendix H",
    title="the curvature is the largest eigenvalue of a K×K matrix",
    printed=(
        r"H = AA^T,\ A = \left[\sqrt{p_k}\,(\mathbf v_k - \bar{\mathbf v})\right]_k,\quad "
        r"\|H\|_2 = \lambda_{\max}(A^TA)"
    ),
    text=Text.NEW,
    hypotheses=(OFF_KINKS, "any label, any K"),
    depends=("lemma-4.1-hessian",),
    chapter=PAGE,
    derivation=Derivation(
        prove_exact_curvature, lambda: prove_exact_curvature(0), "the mean v̄ not taken away"
    ),
    checks=(
        *both(
            "λ_max of the K×K matrix against ‖H‖₂ of the n×n one",
            lambda c: (gram_norm(c) / c.bend - 1).abs(),
            lambda c: (gram_norm(c, centred=False) / c.bend - 1).abs(),
            "the mean v̄ not taken away",
            correct=False,
        ),
        *both(
            "`properties.curvature` against ‖H‖₂ of the n×n one",
            lambda c: (derivatives.curvature(c.V, c.z) / c.bend - 1).abs(),
            lambda c: (
                derivatives.curvature(c.V, c.z) / c.hessian.diagonal(dim1=-2, dim2=-1).sum(-1) - 1
            ).abs(),
            "the trace in place of the norm",
            correct=False,
        ),
    ),
)


def counterexample_appendix_h() -> Counterexample:
    """p = (½, ¼, ¼): the n×n and the K×K matrix, both in exact numbers."""
    p = sp.Matrix([sp.Rational(1, 2), sp.Rational(1, 4), sp.Rational(1, 4)])
    V = sp.Matrix([[0, 2, 2], [0, 2, -2]])
    H = V * (sp.diag(*p) - p * p.T) * V.T
    A = (V - V * p * sp.ones(1, 3)) * sp.diag(*p.applyfunc(sp.sqrt))
    error = max((A.T * A).eigenvals()) - max(H.eigenvals())
    return Counterexample(
        r"K = 3,\ p = (\tfrac12, \tfrac14, \tfrac14),\ V = \begin{pmatrix}0&2&2\\0&2&-2\end{pmatrix},\ "
        r"\text{sign of the error } |\lambda_{\max}(A^TA) - \|H\|_2|",
        sp.sign(sp.Abs(sp.simplify(error))),
        ">=",
        sp.S.One,
    )


APPENDIX_H = Claim(
    id="remark-appendix-h",
    where="Appendix H, and the captions of Figures 5 and 7",
    title="a multi-class curvature penalty must approximate",
    printed=(
        r"\text{approximations seem inevitable for } \|H\|_2,\ K > 2: \quad "
        r"\operatorname{sign}\,|\text{computed} - \|H\|_2| = 1"
    ),
    corrected=r"\|H\|_2 = \lambda_{\max}(A^TA), \text{ a } K\times K \text{ eigenvalue problem, for every } K",
    text=Text.CORRECTED,
    hypotheses=("rounding aside", "H inside the polytope, as everywhere in the paper"),
    depends=("thm-exact-curvature",),
    chapter=PAGE,
    counterexample=counterexample_appendix_h,
    expected=Verdict.FAILS,
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


def three_classes(case: Case, factor: float = 16.0) -> Tensor:
    """(T + √(T² − 16 p₀p₁p₂ Area²))/2: (T,)."""
    p = torch.softmax(case.z, dim=-1)
    s, t = case.V[..., 1] - case.V[..., 0], case.V[..., 2] - case.V[..., 0]
    ss, tt, st = (s * s).sum(dim=-1), (t * t).sum(dim=-1), (s * t).sum(dim=-1)
    apart = (s - t).square().sum(dim=-1)
    T = p[..., 0] * p[..., 1] * ss + p[..., 0] * p[..., 2] * tt + p[..., 1] * p[..., 2] * apart
    product = p.prod(dim=-1) * (ss * tt - st.square()) / 4
    return 0.5 * (T + (T.square() - factor * product).clamp_min(0.0).sqrt())


THREE = Claim(
    id="thm-curvature-three-classes",
    where="new",
    title="the curvature of three classes, without eigenvalues",
    printed=(
        r"K=3:\ \|H\|_2 = \tfrac12\Big(T+\sqrt{T^2-16\,p_0p_1p_2\,\mathrm{Area}^2}\Big),\quad "
        r"T=\sum_{i<j}p_ip_j\|\mathbf v_i-\mathbf v_j\|_2^2,\ \mathrm{Area}=\text{area of the triangle }"
        r"\mathbf v_0\mathbf v_1\mathbf v_2"
    ),
    text=Text.NEW,
    hypotheses=(OFF_KINKS, "K = 3, any n, any label"),
    depends=("thm-exact-curvature", "lemma-4.1-pairs"),
    chapter=PAGE,
    derivation=Derivation(prove_three_classes, lambda: prove_three_classes(1), "Area² without the 4"),
    checks=both(
        "the closed form against ‖H‖₂ of the n×n matrix",
        lambda c: (three_classes(c) / c.bend - 1).abs(),
        lambda c: (three_classes(c, 4.0) / c.bend - 1).abs(),
        "4 in place of 16",
        classes=(3,),
        correct=False,
        tolerance=1e-8,  # at a near tie the root's argument has lost its digits
    ),
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


def product(network: nn.Module, images: Tensor, r: Tensor, *, centred: bool = True) -> Tensor:
    """Hr from one forward-mode and one reverse-mode pass through the network: (N, n)."""
    with torch.enable_grad():
        forward = torch.func.jvp(network, (images,), (r,))  # z, and its rate a along r
        pull = torch.func.vjp(network, images)[1]
        p, a = torch.softmax(forward[0], dim=-1).detach(), forward[1].detach()
        mean = (p * a).sum(dim=-1, keepdim=True) if centred else 0.0
        (found,) = pull(p * (a - mean))
    flat: Tensor = found.detach().flatten(1)
    return flat


def _product_excess(*, centred: bool) -> Callable[[Draw], Tensor]:
    def one(s: Sample, draw: Draw) -> Tensor:
        generator = torch.Generator().manual_seed(draw.seed)
        r = torch.randn(s.images.shape, generator=generator, dtype=torch.float64).to(s.images.device)
        found = product(s.network, s.images, r, centred=centred)
        r = r.flatten(1)
        expected = (s.autograd.hessian @ r.unsqueeze(-1)).squeeze(-1)
        size = torch.linalg.matrix_norm(s.autograd.hessian, ord=2) * torch.linalg.vector_norm(r, dim=-1)
        error: Tensor = torch.linalg.vector_norm(found - expected, dim=-1) / size / autograd_noise(s)
        return error

    return lambda draw: torch.cat([one(s, draw) for K in CLASSES for s in draw.samples(K)])


PRODUCT = Claim(
    id="thm-hessian-vector",
    where="new",
    title="H times a vector from one pass each way",
    printed=(
        r"H\mathbf r = V\big(p\circ(\mathbf a-p^T\mathbf a)\big),\ \mathbf a=V^T\mathbf r:\quad "
        r"\text{the Gauss–Newton matrix is the Hessian}"
    ),
    text=Text.NEW,
    hypotheses=(OFF_KINKS, "any label, any K"),
    depends=("lemma-4.1-jacobian", "lemma-4.1-hessian"),
    chapter=PAGE,
    derivation=Derivation(prove_product, lambda: prove_product(0), "the mean of a not taken away"),
    checks=(
        Check(
            "one JVP and one VJP against autograd's full Hessian",
            _product_excess(centred=True),
            _product_excess(centred=False),
            "the mean of a not taken away",
        ),
    ),
)

CLAIMS = (EXACT, APPENDIX_H, THREE, PRODUCT)
"""Appendix H's remark, and the theorems that answer it."""
