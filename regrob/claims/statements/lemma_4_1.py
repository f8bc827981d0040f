"""Section 4's opening: the local map of a K-class network, Lemma 4.1, and the slack ξ."""

from __future__ import annotations

from functools import partial

import sympy as sp
import torch
from sympy.concrete.delta import deltasummation
from torch import Tensor

from regrob.claims.claim import Check, Claim, Counterexample, Derivation, Text, Verdict
from regrob.claims.class_sums import double_sum, weighted_moments
from regrob.claims.hypotheses import OFF_KINKS, PIECEWISE
from regrob.claims.instances import Draw, Sample, relative
from regrob.claims.many_classes import MISTAKES_TOO, Case, check_both, check_networks, over_samples
from regrob.claims.statements.lemma_3_2 import prove_jacobian
from regrob.claims.statements.locally_affine import prove_affine
from regrob.symbols import cross_entropy, prove_equal, prove_sign, prove_zero
from regrob.theory import probability

statement = partial(Claim, chapter="book/lemma_4_1")
theorem = partial(statement, where="new", text=Text.NEW)


# --- Eq. (14) --------------------------------------------------------------------------


def step_excess(draw: Draw, scale: float = 1.0) -> Tensor:
    """Move a little inside Q(x): the logits of every K-class network must move by scale·Vᵀr."""

    def excess(s: Sample) -> Tensor:
        generator = torch.Generator().manual_seed(draw.seed)
        step = s.step * torch.randn(s.images.shape, generator=generator, dtype=torch.float64).to(s.images)
        with torch.no_grad():
            moved = s.network(s.images + step) - s.network(s.images)
        predicted = scale * (s.map.V.mT @ step.flatten(1).unsqueeze(-1)).squeeze(-1)
        return relative(moved - predicted, predicted, axes=1)

    return over_samples(draw, excess)


EQ_14 = statement(
    id="eq-14",
    where="Section 4, Eq. (14)",
    title="K logits, affine around x",
    printed=r"g(\mathbf x')|_{\mathbf x'\in Q(\mathbf x)} = V^T\mathbf x',\quad V = [\mathbf v_0,\dots,\mathbf v_{K-1}]",
    corrected=r"g(\mathbf x') = V^T\mathbf x' + \mathbf c \text{ on } Q(\mathbf x),\quad \mathbf c = 0 \text{ without biases}",
    text=Text.RESTATED,
    hypotheses=(PIECEWISE, OFF_KINKS, "no biases, or an offset c"),
    depends=("eq-5",),
    derivation=Derivation(
        prove_affine, lambda: prove_affine(lambda W1, D, W2: W1 * D * D * W2), "the mask applied twice"
    ),
    checks=(
        Check(
            "a step inside Q(x) moves the K logits by V'r",
            step_excess,
            lambda draw: step_excess(draw, 1.01),
            "V one per cent too large",
            tolerance=1e-6,  # a step of 1e-7 leaves nine digits of a difference of logits
        ),
    ),
)

# --- Lemma 4.1 -------------------------------------------------------------------------


def jacobian_excess(draw: Draw, *, reverse: bool = False) -> Tensor:
    """V, or V with its classes in reverse order, against autograd's Jacobian."""

    def excess(s: Sample) -> Tensor:
        V = s.map.V.flip(-1) if reverse else s.map.V
        return relative(V - s.autograd.jacobian, s.autograd.jacobian, axes=2)

    return over_samples(draw, excess)


JACOBIAN = statement(
    id="lemma-4.1-jacobian",
    where="Lemma 4.1, Eq. (15), first line",
    title="the Jacobian is V, for K classes",
    printed="J = V",
    hypotheses=(PIECEWISE, OFF_KINKS),
    depends=("eq-14",),
    derivation=Derivation(prove_jacobian, lambda: prove_jacobian(transposed=True), "the transpose of V"),
    checks=(
        Check(
            "V against autograd's Jacobian",
            jacobian_excess,
            lambda draw: jacobian_excess(draw, reverse=True),
            "the classes in reverse order",
        ),
    ),
)


def prove_gradient(label: int = 1) -> None:
    """∂L/∂x_a = Σ_k p_k v[a,k] − v[a,y] for every n and K; `label=0` forgets the label."""
    L = cross_entropy()
    claimed = L.mean(L.v[L.a, L.k]) - label * L.v[L.a, L.y]
    prove_equal(L.gradient(), claimed, because="∇ = V(p − e_y)")


def gradient_error(case: Case, label: float = 1.0) -> Tensor:
    """∇ = V(p − y), literally Eq. (15), against the case's gradient; `label=0` forgets the label."""
    e = torch.nn.functional.one_hot(case.y, case.K).to(case.z)
    p = probability.residual_probability(case.z, case.y) + (1 - label) * e
    formula = (case.V @ p.unsqueeze(-1)).squeeze(-1)
    return relative(formula - case.gradient, case.gradient, 1)


GRADIENT = statement(
    id="lemma-4.1-gradient",
    where="Lemma 4.1, Eq. (15), second line",
    title="the input gradient, for K classes",
    printed=r"\nabla = V(p(\mathbf x) - \mathbf y)",
    hypotheses=(PIECEWISE, OFF_KINKS, "any label, right or wrong"),
    depends=("lemma-4.1-jacobian",),
    derivation=Derivation(prove_gradient, lambda: prove_gradient(label=0), "the label forgotten"),
    checks=(
        check_networks(
            "V(p − y) against autograd's gradient",
            gradient_error,
            0.0,
            "Vp, the label forgotten",
            MISTAKES_TOO,
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
    entry = covariance_entry(matrix).replace(
        lambda part: isinstance(part, sp.Sum) and part.function.has(p[L.k]),
        lambda part: p[L.k] * sp.Sum(sp.expand(part.function / p[L.k]), part.limits[0]),
    )
    entry = entry.subs(sp.Sum(-p[j] * L.v[L.b, j], (j, 0, L.K - 1)), -mean_b)
    prove_zero(entry - summand, because="V(diag p − ppᵀ)Vᵀ, row by row")


def hessian_error(case: Case, matrix: str = "outer") -> Tensor:
    """V(diag p − ppᵀ)Vᵀ against the case's Hessian; "scalar" reads the printed pᵀp as a number times I."""
    p = torch.softmax(case.z, dim=-1)
    if matrix == "scalar":
        identity = torch.eye(case.K, dtype=p.dtype, device=p.device)
        product = p.square().sum(dim=-1)[..., None, None] * identity
    else:
        product = p.unsqueeze(-1) * p.unsqueeze(-2)
    formula = case.V @ (torch.diag_embed(p) - product) @ case.V.mT
    return relative(formula - case.hessian, case.hessian, 2)


HESSIAN = statement(
    id="lemma-4.1-hessian",
    where="Lemma 4.1, Eq. (15), third line",
    title="the Hessian is a covariance",
    printed=r"H = V\left(\operatorname{diag}(p(\mathbf x)) - p(\mathbf x)^Tp(\mathbf x)\right)V^T",
    corrected=r"H = V\left(\operatorname{diag}(p) - p\,p^T\right)V^T",
    text=Text.CORRECTED,
    hypotheses=(PIECEWISE, OFF_KINKS, "p a column, as ∇ = V(p − y) needs"),
    transcription=True,
    depends=("lemma-4.1-gradient",),
    derivation=Derivation(prove_hessian, lambda: prove_hessian("scalar"), "pᵀp as a number"),
    checks=(
        check_networks(
            "V(diag p − pp')V' against autograd's Hessian",
            hessian_error,
            "scalar",
            "pᵀp as a number",
            MISTAKES_TOO,
        ),
    ),
)


def prove_pairs(count: int = 1) -> None:
    """½ Σ_iΣ_j p_i p_j (a_i − a_j)(b_i − b_j) = E[ab] − E[a]E[b] for every K, since Σp = 1."""
    p_i, a_i, b_i, p_j, a_j, b_j = sp.symbols("p_i a_i b_i p_j a_j b_j")
    E = weighted_moments()
    pair = sp.Rational(count, 2) * p_i * p_j * (a_i - a_j) * (b_i - b_j)
    total = double_sum(pair, E, (p_i, a_i, b_i), (p_j, a_j, b_j))
    prove_equal(total, E(1, 1, 1) - E(1, 1, 0) * E(1, 0, 1), because="a covariance, pair by pair")


def pairs_error(case: Case, weight: float = 0.5) -> Tensor:
    """Σ_{i<j} p_i p_j (v_i − v_j)(v_i − v_j)ᵀ, every pair formed, against the case's Hessian."""
    p = torch.softmax(case.z, dim=-1)
    d = case.V.unsqueeze(-1) - case.V.unsqueeze(-2)  # (…, n, K, K)
    formula = weight * torch.einsum("...aij,...bij,...i,...j->...ab", d, d, p, p)
    return relative(formula - case.hessian, case.hessian, 2)


PAIRS = statement(
    id="lemma-4.1-pairs",
    where="Lemma 4.1, Eq. (15), last line",
    title="the Hessian, pair by pair",
    printed=r"H = \sum_{i<j} p(\mathbf x)_i p(\mathbf x)_j (\mathbf v_i-\mathbf v_j)(\mathbf v_i-\mathbf v_j)^T",
    hypotheses=(PIECEWISE, OFF_KINKS),
    depends=("lemma-4.1-hessian",),
    derivation=Derivation(prove_pairs, lambda: prove_pairs(2), "every pair counted twice"),
    checks=check_both(
        "the sum over pairs against the Hessian", pairs_error, 1.0, "every pair counted twice", MISTAKES_TOO
    ),
)


def prove_psd(sign: int = -1) -> None:
    """rᵀHr = ½ Σ_iΣ_j p_i p_j (a_i − a_j)² with a = Vᵀr: a sum of squares, for every K."""
    p_i, p_j = sp.symbols("p_i p_j", positive=True)
    a_i, a_j = sp.symbols("a_i a_j", real=True)
    E = weighted_moments()
    pair = p_i * p_j * (a_i + sign * a_j) ** 2 / 2
    total = double_sum(pair, E, (p_i, a_i), (p_j, a_j))
    prove_equal(total, E(1, 2) - E(1, 1) ** 2, because="rᵀHr, pair by pair")
    prove_sign(pair, "nonnegative")


def spectrum_excess(case: Case, dropped: int = 1) -> Tensor:
    """The size of what should vanish: negative eigenvalues, and all beyond the first K − `dropped`."""
    values = torch.linalg.eigvalsh(case.hessian)
    beyond = values[..., : max(0, values.shape[-1] - (case.K - dropped))].abs().sum(dim=-1)
    least = (-values[..., 0]).clamp_min(0.0)
    share: Tensor = torch.maximum(beyond, least) / values[..., -1]
    return share


PSD = theorem(
    id="remark-psd",
    title="the Hessian bends upwards in every direction",
    printed=r"0 \preceq H,\quad \operatorname{rank} H \le K-1",
    hypotheses=(PIECEWISE, OFF_KINKS),
    depends=("lemma-4.1-pairs",),
    derivation=Derivation(prove_psd, lambda: prove_psd(1), "sums of a pair for its difference"),
    checks=check_both(
        "the least eigenvalue of H, and all but K − 1 of them", spectrum_excess, 2, "rank K − 2", MISTAKES_TOO
    ),
)

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


XI = statement(
    id="remark-xi",
    where="Section 4, below Eq. (17)",
    title="the slack in terms of the probability",
    printed=r"\xi = \log(K) - \log(p(\mathbf x)_y)",
    corrected=r"\xi = \log K - \mathcal L(\mathbf x, y) = \log K + \log p_y = \log(K p_y)",
    text=Text.CORRECTED,
    transcription=True,  # the minus; Eq. (33) defines the same slack rightly
    hypotheses=("cross-entropy", "β = log K"),
    checks=check_both(
        "log(K p_y) against log K − L",
        lambda c: (torch.log(c.K * c.p) - c.xi).abs(),
        lambda c: (torch.log(c.K / c.p) - c.xi).abs(),
        "the sign as printed",
    ),
    counterexample=counterexample_xi,
    expected=Verdict.FAILS,
)

CLAIMS = (EQ_14, JACOBIAN, GRADIENT, HESSIAN, PAIRS, PSD, XI)
