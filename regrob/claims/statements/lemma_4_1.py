"""Section 4's opening: the local map of a K-class network, Lemma 4.1, and the slack ξ."""

from __future__ import annotations

import sympy as sp
import torch
from sympy.concrete.delta import deltasummation
from torch import Tensor

from regrob.claims.claim import Check, Claim, Counterexample, Derivation, Text, Verdict
from regrob.claims.instances import Draw, relative
from regrob.claims.many import CLASSES, OFF_KINKS, Case, both, over_networks
from regrob.claims.statements.lemma_3_2 import prove_jacobian
from regrob.claims.statements.locally_affine import prove_affine
from regrob.symbols import cross_entropy, prove_equal, prove_sign, prove_zero, sum_over
from regrob.theory import probability

PAGE = "book/lemma_4_1"
PIECEWISE = "piecewise-linear network"


# --- Eq. (14) --------------------------------------------------------------------------


def _step_excess(scale: float, draw: Draw) -> Tensor:
    """Move a little inside Q(x): the logits of every K-class network must move by scale·Vᵀr."""
    parts = []
    for K in CLASSES:
        for s in draw.samples(K):
            generator = torch.Generator().manual_seed(draw.seed)
            step = 1e-7 * torch.randn(s.images.shape, generator=generator, dtype=torch.float64).to(s.images)
            with torch.no_grad():
                moved = s.network(s.images + step) - s.network(s.images)
            predicted = scale * (s.map.V.mT @ step.flatten(1).unsqueeze(-1)).squeeze(-1)
            parts.append(relative(moved - predicted, predicted, axes=1))
    return torch.cat(parts)


EQ_14 = Claim(
    id="eq-14",
    where="Section 4, Eq. (14)",
    title="K logits, affine around x",
    printed=r"g(\mathbf x')|_{\mathbf x'\in Q(\mathbf x)} = V^T\mathbf x',\quad V = [\mathbf v_0,\dots,\mathbf v_{K-1}]",
    corrected=r"g(\mathbf x') = V^T\mathbf x' + \mathbf c \text{ on } Q(\mathbf x),\quad \mathbf c = 0 \text{ without biases}",
    text=Text.RESTATED,
    hypotheses=(PIECEWISE, OFF_KINKS, "no biases, or an offset c"),
    depends=("eq-5",),
    chapter=PAGE,
    derivation=Derivation(
        prove_affine, lambda: prove_affine(lambda W1, D, W2: W1 * D * D * W2), "the mask applied twice"
    ),
    checks=(
        Check(
            "a step inside Q(x) moves the K logits by V'r",
            lambda draw: _step_excess(1.0, draw),
            lambda draw: _step_excess(1.01, draw),
            "V one per cent too large",
            tolerance=1e-6,  # a step of 1e-7 leaves nine digits of a difference of logits
        ),
    ),
)

# --- Lemma 4.1 -------------------------------------------------------------------------


def _jacobian_excess(reverse: bool, draw: Draw) -> Tensor:
    parts = []
    for K in CLASSES:
        for s in draw.samples(K):
            V = s.map.V.flip(-1) if reverse else s.map.V
            parts.append(relative(V - s.autograd.jacobian, s.autograd.jacobian, axes=2))
    return torch.cat(parts)


JACOBIAN = Claim(
    id="lemma-4.1-jacobian",
    where="Lemma 4.1, Eq. (15), first line",
    title="the Jacobian is V, for K classes",
    printed="J = V",
    hypotheses=(PIECEWISE, OFF_KINKS),
    depends=("eq-14",),
    chapter=PAGE,
    derivation=Derivation(prove_jacobian, lambda: prove_jacobian(transposed=True), "the transpose of V"),
    checks=(
        Check(
            "V against autograd's Jacobian",
            lambda draw: _jacobian_excess(False, draw),
            lambda draw: _jacobian_excess(True, draw),
            "the classes in reverse order",
        ),
    ),
)


def prove_gradient(label: int = 1) -> None:
    """∂L/∂x_a = Σ_k p_k v[a,k] − v[a,y] for every n and K; `label=0` forgets the label."""
    L = cross_entropy()
    claimed = L.mean(L.v[L.a, L.k]) - label * L.v[L.a, L.y]
    prove_equal(L.gradient(), claimed, because="∇ = V(p − e_y)")


def formula_gradient(case: Case, *, label: float = 1.0) -> Tensor:
    """∇ = V(p − y), literally Eq. (15): (…, n)."""
    e = torch.nn.functional.one_hot(case.y, case.z.shape[-1]).to(case.z)
    p = probability.residual_probability(case.z, case.y) + (1 - label) * e
    return (case.V @ p.unsqueeze(-1)).squeeze(-1)


GRADIENT = Claim(
    id="lemma-4.1-gradient",
    where="Lemma 4.1, Eq. (15), second line",
    title="the input gradient, for K classes",
    printed=r"\nabla = V(p(\mathbf x) - \mathbf y)",
    hypotheses=(PIECEWISE, OFF_KINKS, "any label, right or wrong"),
    depends=("lemma-4.1-jacobian",),
    chapter=PAGE,
    derivation=Derivation(prove_gradient, lambda: prove_gradient(label=0), "the label forgotten"),
    checks=(
        Check(
            "V(p − y) against autograd's gradient",
            over_networks(lambda c: relative(formula_gradient(c) - c.gradient, c.gradient, 1), correct=False),
            over_networks(
                lambda c: relative(formula_gradient(c, label=0.0) - c.gradient, c.gradient, 1), correct=False
            ),
            "Vp, the label forgotten",
        ),
    ),
)


def covariance_entry(matrix: str = "outer") -> sp.Expr:
    """Entry (a, b) of V M Vᵀ for symbolic K, with M = diag p − ppᵀ or, wrongly, diag p − pᵀp·I."""
    L = cross_entropy()
    j = sp.Symbol("j", integer=True, nonnegative=True)
    p = sp.IndexedBase("p", positive=True)
    classes = (j, 0, L.K - 1)
    delta = sp.KroneckerDelta(L.k, j)
    scalar = sp.Symbol("p_dot_p") * delta  # pᵀp of a column p is one number
    M = p[L.k] * delta - (p[L.k] * p[j] if matrix == "outer" else scalar)
    row = sp.expand(M * L.v[L.b, j])
    collapsed = deltasummation(row.coeff(delta) * delta, classes, no_piecewise=True)
    rest = sp.Sum(row.coeff(delta, 0), classes)
    return sp.expand(L.v[L.a, L.k] * (collapsed + rest))


def prove_hessian(matrix: str = "outer") -> None:
    """∂²L/∂x_a∂x_b = [V(diag p − ppᵀ)Vᵀ]_ab for every n and K, in two steps.

    First the derivative is the covariance E[v_a v_b] − E[v_a]E[v_b]; then that is the
    matrix product, whose inner sum over the diagonal collapses.
    """
    L = cross_entropy()
    v_a, v_b = L.v[L.a, L.k], L.v[L.b, L.k]
    prove_equal(L.hessian(), L.mean(v_a * v_b) - L.mean(v_a) * L.mean(v_b), because="H is a covariance")
    p, j = sp.IndexedBase("p", positive=True), sp.Symbol("j", integer=True, nonnegative=True)
    mean_b = sp.Sum(p[j] * L.v[L.b, j], (j, 0, L.K - 1))
    summand = p[L.k] * v_a * v_b - p[L.k] * v_a * mean_b  # summed over k: the covariance
    found = covariance_entry(matrix).replace(
        lambda part: isinstance(part, sp.Sum) and part.function.has(p[L.k]),
        lambda part: p[L.k] * sp.Sum(sp.expand(part.function / p[L.k]), part.limits[0]),
    )
    found = found.subs(sp.Sum(-p[j] * L.v[L.b, j], (j, 0, L.K - 1)), -mean_b)
    prove_zero(found - summand, because="V(diag p − ppᵀ)Vᵀ, row by row")


def formula_hessian(case: Case, *, scalar: bool = False) -> Tensor:
    """V(diag p − ppᵀ)Vᵀ: (…, n, n). `scalar` reads the printed pᵀp as a number times I."""
    p = torch.softmax(case.z, dim=-1)
    M = torch.diag_embed(p)
    if scalar:
        identity = torch.eye(p.shape[-1], dtype=p.dtype, device=p.device)
        M = M - p.square().sum(dim=-1)[..., None, None] * identity
    else:
        M = M - p.unsqueeze(-1) * p.unsqueeze(-2)
    return case.V @ M @ case.V.mT


HESSIAN = Claim(
    id="lemma-4.1-hessian",
    where="Lemma 4.1, Eq. (15), third line",
    title="the Hessian is a covariance",
    printed=r"H = V\left(\operatorname{diag}(p(\mathbf x)) - p(\mathbf x)^Tp(\mathbf x)\right)V^T",
    corrected=r"H = V\left(\operatorname{diag}(p) - p\,p^T\right)V^T",
    text=Text.CORRECTED,
    hypotheses=(PIECEWISE, OFF_KINKS, "p a column, as ∇ = V(p − y) needs"),
    transcription=True,
    depends=("lemma-4.1-gradient",),
    chapter=PAGE,
    derivation=Derivation(prove_hessian, lambda: prove_hessian("scalar"), "pᵀp as a number"),
    checks=(
        Check(
            "V(diag p − pp')V' against autograd's Hessian",
            over_networks(lambda c: relative(formula_hessian(c) - c.hessian, c.hessian, 2), correct=False),
            over_networks(
                lambda c: relative(formula_hessian(c, scalar=True) - c.hessian, c.hessian, 2), correct=False
            ),
            "pᵀp as a number",
        ),
    ),
)


def prove_pairs(count: int = 1) -> None:
    """½ Σ_iΣ_j p_i p_j (a_i − a_j)(b_i − b_j) = E[ab] − E[a]E[b] for every K, since Σp = 1."""
    p_i, a_i, b_i, p_j, a_j, b_j = sp.symbols("p_i a_i b_i p_j a_j b_j")

    def moment(i: int, j: int, k: int) -> sp.Expr:
        return sp.S.One if (i, j, k) == (1, 0, 0) else sp.Symbol(f"E{j}{k}")

    inner = sum_over(sp.Rational(count, 2) * p_i * p_j * (a_i - a_j) * (b_i - b_j), moment, p_j, a_j, b_j)
    total = sum_over(inner, moment, p_i, a_i, b_i)
    covariance = moment(1, 1, 1) - moment(1, 1, 0) * moment(1, 0, 1)
    prove_equal(total, covariance, because="a covariance, pair by pair")


def pair_hessian(case: Case, *, weight: float = 0.5) -> Tensor:
    """Σ_{i<j} p_i p_j (v_i − v_j)(v_i − v_j)ᵀ: (…, n, n), every pair formed."""
    p = torch.softmax(case.z, dim=-1)
    d = case.V.unsqueeze(-1) - case.V.unsqueeze(-2)  # (…, n, K, K)
    return weight * torch.einsum("...aij,...bij,...i,...j->...ab", d, d, p, p)


PAIRS = Claim(
    id="lemma-4.1-pairs",
    where="Lemma 4.1, Eq. (15), last line",
    title="the Hessian, pair by pair",
    printed=r"H = \sum_{i<j} p(\mathbf x)_i p(\mathbf x)_j (\mathbf v_i-\mathbf v_j)(\mathbf v_i-\mathbf v_j)^T",
    hypotheses=(PIECEWISE, OFF_KINKS),
    depends=("lemma-4.1-hessian",),
    chapter=PAGE,
    derivation=Derivation(prove_pairs, lambda: prove_pairs(2), "every pair counted twice"),
    checks=both(
        "the sum over pairs against the Hessian",
        lambda c: relative(pair_hessian(c) - c.hessian, c.hessian, 2),
        lambda c: relative(pair_hessian(c, weight=1.0) - c.hessian, c.hessian, 2),
        "every pair counted twice",
        correct=False,
    ),
)


def prove_psd(sign: int = -1) -> None:
    """rᵀHr = ½ Σ_iΣ_j p_i p_j (a_i − a_j)² with a = Vᵀr: a sum of squares, for every K."""
    p_i, p_j = sp.symbols("p_i p_j", positive=True)
    a_i, a_j = sp.symbols("a_i a_j", real=True)

    def moment(i: int, j: int) -> sp.Expr:
        return sp.S.One if (i, j) == (1, 0) else sp.Symbol(f"E{j}")

    pair = p_i * p_j * (a_i + sign * a_j) ** 2 / 2
    total = sum_over(sum_over(pair, moment, p_j, a_j), moment, p_i, a_i)
    prove_equal(total, moment(1, 2) - moment(1, 1) ** 2, because="rᵀHr, pair by pair")
    prove_sign(pair, "nonnegative")


PSD = Claim(
    id="remark-psd",
    where="new",
    title="the Hessian bends upwards in every direction",
    printed=r"0 \preceq H,\quad \operatorname{rank} H \le K-1",
    text=Text.NEW,
    hypotheses=(PIECEWISE, OFF_KINKS),
    depends=("lemma-4.1-pairs",),
    chapter=PAGE,
    derivation=Derivation(prove_psd, lambda: prove_psd(1), "sums of a pair for its difference"),
    checks=both(
        "the least eigenvalue of H, and all but K − 1 of them",
        lambda c: _spectrum_excess(c, c.z.shape[-1] - 1),
        lambda c: _spectrum_excess(c, c.z.shape[-1] - 2),
        "rank K − 2",
        correct=False,
    ),
)


def _spectrum_excess(case: Case, rank: int) -> Tensor:
    """The size of what should vanish: negative eigenvalues, and all beyond the first `rank`."""
    values = torch.linalg.eigvalsh(case.hessian)
    beyond = values[..., : max(0, values.shape[-1] - rank)].abs().sum(dim=-1)
    least = (-values[..., 0]).clamp_min(0.0)
    share: Tensor = torch.maximum(beyond, least) / values[..., -1]
    return share


# --- ξ ---------------------------------------------------------------------------------


def counterexample_xi() -> Counterexample:
    """K = 2, p_y = ¾: β − L is log 3/2, the printed form gives log 8/3."""
    K, p = sp.Integer(2), sp.Rational(3, 4)
    return Counterexample(
        r"K = 2,\ p_y = \tfrac34: \text{ printed } \log K - \log p_y \text{ against } \beta - \mathcal L",
        sp.log(K) - sp.log(p),
        "=",
        sp.log(K) - (-sp.log(p)),
    )


XI = Claim(
    id="remark-xi",
    where="Section 4, below Eq. (17)",
    title="the slack in terms of the probability",
    printed=r"\xi = \log(K) - \log(p(\mathbf x)_y)",
    corrected=r"\xi = \log K - \mathcal L(\mathbf x, y) = \log K + \log p_y = \log(K p_y)",
    text=Text.CORRECTED,
    transcription=True,  # the minus; Eq. (33) defines the same slack rightly
    hypotheses=("cross-entropy", "β = log K"),
    chapter=PAGE,
    checks=both(
        "log(K p_y) against log K − L",
        lambda c: (torch.log(c.z.shape[-1] * c.p) - c.xi).abs(),
        lambda c: (torch.log(c.z.shape[-1] / c.p) - c.xi).abs(),
        "the sign as printed",
    ),
    counterexample=counterexample_xi,
    expected=Verdict.FAILS,
)

CLAIMS = (EQ_14, JACOBIAN, GRADIENT, HESSIAN, PAIRS, PSD, XI)
"""The claims of this module, in the paper's order."""
