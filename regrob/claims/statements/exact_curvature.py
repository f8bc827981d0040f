"""The curvature with any number of classes, exactly: the K×K form, products with H, and its gradient."""

from __future__ import annotations

from functools import partial
from typing import Literal

import sympy as sp
import torch
from torch import Tensor, nn

from regrob.claims.claim import Claim, Counterexample, Verdict
from regrob.claims.class_sums import weighted_moments
from regrob.claims.combinators import check, check_both, check_random, proof
from regrob.claims.comparisons import ratio_error, relative
from regrob.claims.hypotheses import ANY_LABEL_ANY_K, OFF_KINKS
from regrob.claims.instances import Draw, Instance, Sample, closed_form, length
from regrob.claims.samplings import CLASSES, MISTAKES_TOO, Sampling
from regrob.errors import ProofError
from regrob.symbols import differentiate, prove_equal, prove_zero, sum_over
from regrob.theory import derivatives, penalties

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


def gram_norm(case: Instance, *, centred: bool = True) -> Tensor:
    """λ_max of the K×K matrix √p_i √p_j (v_i − v̄)ᵀ(v_j − v̄), formed by the definition: (T,)."""
    root = (0.5 * torch.log_softmax(case.z, dim=-1)).exp()
    columns = case.V - derivatives.column(case.V, case.z.argmax(dim=-1))
    if centred:
        columns = columns - columns @ root.square().unsqueeze(-1)
    A = columns * root.unsqueeze(-2)
    largest: Tensor = torch.linalg.eigvalsh(A.mT @ A)[..., -1]
    return largest


EXACT = statement(
    id="thm-exact-curvature",
    where="new, on Appendix H",
    title="the curvature is the largest eigenvalue of a K×K matrix",
    printed=r"H = AA^T,\ A = \left[\sqrt{p_k}\,(\mathbf v_k - \bar{\mathbf v})\right]_k,\quad \|H\|_2 = \lambda_{\max}(A^TA)",
    hypotheses=(OFF_KINKS, ANY_LABEL_ANY_K),
    depends=("lemma-4.1-hessian",),
    derivation=proof(prove_exact_curvature, wrong=0, mistake="the mean v̄ not taken away"),
    checks=(
        *check_both(
            "λ_max of the K×K matrix against ‖H‖₂ of the n×n one",
            lambda c, centred=True: ratio_error(gram_norm(c, centred=centred), c.curvature),
            False,
            "the mean v̄ not taken away",
            MISTAKES_TOO,
        ),
        *check_both(
            "`properties.curvature` against ‖H‖₂ of the n×n one",
            lambda c: ratio_error(derivatives.curvature(c.V, c.z), c.curvature),
            lambda c: ratio_error(derivatives.curvature(c.V, c.z), c.trace),
            "the trace in place of the norm",
            MISTAKES_TOO,
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
        r"K = 3,\ p = (\tfrac12, \tfrac14, \tfrac14),\ V = \begin{pmatrix}0&2&2\\0&2&-2\end{pmatrix},\ \text{sign of the error } |\lambda_{\max}(A^TA) - \|H\|_2|",
        sp.sign(sp.Abs(sp.simplify(error))),
        ">=",
        sp.S.One,
    )


APPENDIX_H = statement(
    id="remark-appendix-h",
    where="Appendix H, and the captions of Figures 5 and 7",
    title="a multi-class curvature penalty must approximate",
    printed=r"\text{approximations seem inevitable for } \|H\|_2,\ K > 2: \quad \operatorname{sign}\,|\text{computed} - \|H\|_2| = 1",
    corrected=r"\|H\|_2 = \lambda_{\max}(A^TA), \text{ a } K\times K \text{ eigenvalue problem, for every } K",
    hypotheses=("rounding aside", "H inside the polytope, as everywhere in the paper"),
    depends=("thm-exact-curvature",),
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


def three_classes(case: Instance, factor: float = 16.0) -> Tensor:
    """(T + √(T² − 16 p₀p₁p₂ Area²))/2: (T,)."""
    p = torch.softmax(case.z, dim=-1)
    s, t = case.V[..., 1] - case.V[..., 0], case.V[..., 2] - case.V[..., 0]
    ss, tt, st = (s * s).sum(dim=-1), (t * t).sum(dim=-1), (s * t).sum(dim=-1)
    apart = (s - t).square().sum(dim=-1)
    T = p[..., 0] * p[..., 1] * ss + p[..., 0] * p[..., 2] * tt + p[..., 1] * p[..., 2] * apart
    product = p.prod(dim=-1) * (ss * tt - st.square()) / 4
    return 0.5 * (T + (T.square() - factor * product).clamp_min(0.0).sqrt())


THREE = theorem(
    id="thm-curvature-three-classes",
    title="the curvature of three classes, without eigenvalues",
    printed=r"K=3:\ \|H\|_2 = \tfrac12\Big(T+\sqrt{T^2-16\,p_0p_1p_2\,\mathrm{Area}^2}\Big),\quad T=\sum_{i<j}p_ip_j\|\mathbf v_i-\mathbf v_j\|_2^2,\ \mathrm{Area}=\text{area of the triangle }\mathbf v_0\mathbf v_1\mathbf v_2",
    hypotheses=(OFF_KINKS, "K = 3, any n, any label"),
    depends=("thm-exact-curvature", "lemma-4.1-pairs"),
    derivation=proof(prove_three_classes, wrong=1, mistake="Area² without the 4"),
    checks=check_both(
        "the closed form against ‖H‖₂ of the n×n matrix",
        lambda c, factor=16.0: ratio_error(three_classes(c, factor), c.curvature),
        4.0,
        "4 in place of 16",
        Sampling(classes=(3,), correct=False),
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
        pulled: Tensor = pull(p * (a - mean))[0]
    return pulled.detach().flatten(1)


def product_excess(draw: Draw, centred: bool = True) -> Tensor:
    """`product` at a random r against autograd's full Hessian, in units of ‖H‖‖r‖ and its rounding."""

    def excess(s: Sample) -> Tensor:
        r = draw.normal(*s.images.shape)
        difference = product(s.network, s.images, r, centred=centred)
        r = r.flatten(1)
        difference = difference - (s.autograd.hessian @ r.unsqueeze(-1)).squeeze(-1)
        size: Tensor = torch.linalg.matrix_norm(s.autograd.hessian, ord=2) * length(r)
        return length(difference) / size / s.noise

    return draw.over_samples(excess, *CLASSES)


PRODUCT = theorem(
    id="thm-hessian-vector",
    title="H times a vector from one pass each way",
    printed=r"H\mathbf r = V\big(p\circ(\mathbf a-p^T\mathbf a)\big),\ \mathbf a=V^T\mathbf r:\quad \text{the Gauss–Newton matrix is the Hessian}",
    hypotheses=(OFF_KINKS, ANY_LABEL_ANY_K),
    depends=("lemma-4.1-jacobian", "lemma-4.1-hessian"),
    derivation=proof(prove_product, wrong=0, mistake="the mean of a not taken away"),
    checks=(
        check(
            "one JVP and one VJP against autograd's full Hessian",
            product_excess,
            wrong=False,
            mistake="the mean of a not taken away",
        ),
    ),
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


def closed_gradient(case: Instance, factor: float = 2.0) -> tuple[Tensor, Tensor]:
    """2u(p∘(a − ā))ᵀ and p_k((a_k − ā)² − ‖H‖), u from the n×n matrix: (T, n, K) and (T, K)."""
    values, vectors = torch.linalg.eigh(case.hessian)
    u, size = vectors[..., -1], values[..., -1:]
    p = torch.softmax(case.z, dim=-1)
    columns = case.V - derivatives.column(case.V, case.z.argmax(dim=-1))
    a = (u.unsqueeze(-2) @ columns).squeeze(-2)
    deviation = a - (p * a).sum(dim=-1, keepdim=True)
    return factor * u.unsqueeze(-1) * (p * deviation).unsqueeze(-2), p * (deviation.square() - size)


Route = Literal["dense", "small", "engine"]


def computed_gradient(case: Instance, route: Route) -> tuple[Tensor, Tensor]:
    """The same as the package computes it.

    Args:
        route: autograd through the n×n eigenvalue problem ("dense") or the K×K one ("small"),
            or the closed form that trains ensembles, ∂P/∂V = 2VFFᵀ ("engine").
    """
    if route == "engine":
        weights = torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=case.V.dtype, device=case.V.device)
        penalty = penalties.gram_penalty(case.V.mT @ case.V, case.z, case.y, weights, ("curvature",))
        return 2 * case.V @ penalty.factor @ penalty.factor.mT, penalty.logits
    V, z = case.V.detach().requires_grad_(), case.z.detach().requires_grad_()
    with torch.enable_grad():
        if route == "dense":
            size = torch.linalg.eigvalsh(derivatives.hessian(V, z))[..., -1]
        else:
            size = derivatives.curvature(V, z)
        in_V, in_z = torch.autograd.grad(size.sum(), (V, z))
    return in_V, in_z


def gradient_error(case: Instance, route: Route, factor: float = 2.0) -> Tensor:
    """The two gradients' relative distance, times the relative gap below the top eigenvalue.

    The gap, because an eigenvector is known only to rounding over its gap.
    """
    in_V, in_z = closed_gradient(case, factor)
    V, z = computed_gradient(case, route)
    apart = torch.maximum(relative(V - in_V, in_V, 2), relative(z - in_z, in_z, 1))
    values = torch.linalg.eigvalsh(case.hessian)
    second = values[..., -2] if values.shape[-1] > 1 else torch.zeros_like(case.curvature)
    cancelled = case.curvature / length(in_z)  # z's gradient is a difference of terms as large as ‖H‖
    scaled: Tensor = apart * (1 - second / case.curvature) / cancelled.clamp_min(1.0)
    return scaled


GRADIENT = theorem(
    id="thm-curvature-gradient",
    title="the gradient of the curvature",
    printed=r"\frac{\partial\|H\|_2}{\partial V} = 2\,\mathbf u\,\big(p\circ(\mathbf a-\bar a)\big)^T,\quad \frac{\partial\|H\|_2}{\partial z_k} = p_k\big((a_k-\bar a)^2-\|H\|_2\big),\quad \mathbf a = V^T\mathbf u,\ \bar a = p^T\mathbf a",
    hypotheses=(OFF_KINKS, SIMPLE),
    depends=("thm-exact-curvature",),
    derivation=proof(prove_curvature_gradient, wrong=1, mistake="half of ∂/∂V"),
    checks=(
        *check_both(
            "against autograd through the n×n eigenvalue problem",
            lambda c, factor=2.0: gradient_error(c, "dense", factor),
            1.0,
            "half of ∂/∂V",
            MISTAKES_TOO,
        ),
        *check_both(
            "against autograd through the K×K eigenvalue problem",
            lambda c, factor=2.0: gradient_error(c, "small", factor),
            1.0,
            "half of ∂/∂V",
            MISTAKES_TOO,
        ),
        check_random(
            "against the closed form that trains ensembles",
            lambda c, factor=2.0: gradient_error(c, "engine", factor),
            1.0,
            "half of ∂/∂V",
            Sampling(high=5.0),
            tolerance=1e-6,  # the engine's eigenvector is good to the gap's fourth digit
        ),
    ),
)


def tied_cases(draw: Draw) -> tuple[Instance, Tensor]:
    """Equally likely corners of a randomly turned regular triangle, and a direction for V (T, 4, 3)."""
    generator = torch.Generator().manual_seed(draw.seed)
    count = draw.trials
    corners = torch.tensor([[1.0, -0.5, -0.5], [0.0, 0.75**0.5, -(0.75**0.5)]], dtype=torch.float64)
    frame = torch.linalg.qr(torch.randn(count, 4, 2, generator=generator, dtype=torch.float64)).Q
    V = (frame @ corners).to(draw.device)
    z = torch.zeros(count, 3, dtype=torch.float64, device=draw.device)
    y = torch.zeros(count, dtype=torch.int64, device=draw.device)
    direction = torch.randn(count, 4, 3, generator=generator, dtype=torch.float64).to(draw.device)
    return closed_form(V, z, y), direction


def tie_excess(draw: Draw, eigenvalue: int = -1) -> Tensor:
    """The one-sided slope against an eigenvalue of UᵀEU; and how far autograd's lies outside of them."""
    case, W = tied_cases(draw)
    step = 1e-6
    one_sided = (derivatives.curvature(case.V + step * W, case.z) - case.curvature) / step
    A, B = derivatives.hessian_factor(case.V, case.z), derivatives.hessian_factor(W, case.z)
    dH = A @ B.mT + B @ A.mT  # the factor is linear in V
    top = torch.linalg.eigh(case.hessian).eigenvectors[..., -2:]
    rates = torch.linalg.eigvalsh(top.mT @ dH @ top)
    size = torch.linalg.matrix_norm(dH, ord=2)
    by_autograd = (computed_gradient(case, "small")[0] * W).sum(dim=(-2, -1))
    outside = torch.maximum(by_autograd - rates[..., eigenvalue], rates[..., 0] - by_autograd) / size
    return torch.maximum((one_sided - rates[..., eigenvalue]).abs() / size, outside)


def prove_ties(factor: int = 4) -> None:
    """What a part β outside the top eigenspace gains, 4tεβ, less what it costs, δβ², is O(t²)."""
    t, size, gap, beta = sp.symbols("t epsilon delta beta", positive=True)
    least = factor * t**2 * size**2 / gap - (4 * t * size * beta - gap * beta**2)
    prove_zero(least - (2 * t * size / sp.sqrt(gap) - sp.sqrt(gap) * beta) ** 2, because="a square")


TIES = theorem(
    id="thm-curvature-ties",
    title="where the top eigenvalue is multiple",
    printed=r"\|H+tE\|_2 = \|H\|_2 + t\,\lambda_{\max}(U^TEU) + O(t^2),\ t\downarrow0,\quad U \text{ a basis of the top eigenspace; autograd returns a Clarke element}",
    hypotheses=(OFF_KINKS, "E symmetric", "the top eigenvalue of H is positive, of any multiplicity"),
    depends=("thm-curvature-gradient",),
    derivation=proof(prove_ties, wrong=3, mistake="3 in place of 4"),
    checks=(
        check(
            "one-sided slope at a double top eigenvalue; autograd's lies between the two extremes",
            tie_excess,
            wrong=0,
            mistake="the smallest eigenvalue of UᵀEU",
            tolerance=1e-4,
        ),
    ),
)

CLAIMS = (EXACT, APPENDIX_H, THREE, PRODUCT, GRADIENT, TIES)
