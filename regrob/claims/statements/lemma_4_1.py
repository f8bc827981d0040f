"""Section 4's opening: the local map of a K-class network, Lemma 4.1, and the slack ξ."""

from __future__ import annotations

from functools import partial

import sympy as sp
from sympy.concrete.delta import deltasummation

from regrob.claims.claim import Claim, Counterexample, proof
from regrob.claims.class_sums import double_sum, weighted_moments
from regrob.claims.hypotheses import OFF_KINKS, PIECEWISE
from regrob.claims.statements.lemma_3_2 import prove_jacobian
from regrob.claims.statements.locally_affine import prove_affine
from regrob.symbols import cross_entropy, prove_equal, prove_sign, prove_zero

statement = partial(Claim, chapter="book/lemma_4_1")


theorem = partial(statement, where="new")

# --- Eq. (14) --------------------------------------------------------------------------


EQ_14 = statement(
    id="eq-14",
    where="Section 4, Eq. (14)",
    title="K logits, affine around x",
    printed=r"g(\mathbf x')|_{\mathbf x'\in Q(\mathbf x)} = V^T\mathbf x',\quad V = [\mathbf v_0,\dots,\mathbf v_{K-1}]",
    corrected=r"g(\mathbf x') = V^T\mathbf x' + \mathbf c \text{ on } Q(\mathbf x),\quad \mathbf c = 0 \text{ without biases}",
    restated=True,
    hypotheses=(PIECEWISE, OFF_KINKS, "no biases, or an offset c"),
    depends=("eq-5",),
    derivation=proof(prove_affine, wrong=lambda W1, D, W2: W1 * D * D * W2, mistake="the mask applied twice"),
)

# --- Lemma 4.1 -------------------------------------------------------------------------


JACOBIAN = statement(
    id="lemma-4.1-jacobian",
    where="Lemma 4.1, Eq. (15), first line",
    title="the Jacobian is V, for K classes",
    printed="J = V",
    hypotheses=(PIECEWISE, OFF_KINKS),
    depends=("eq-14",),
    derivation=proof(prove_jacobian, wrong=True, mistake="the transpose of V"),
)


def prove_gradient(label: int = 1) -> None:
    """∂L/∂x_a = Σ_k p_k v[a,k] − v[a,y] for every n and K; `label=0` forgets the label."""
    L = cross_entropy()
    claimed = L.mean(L.v[L.a, L.k]) - label * L.v[L.a, L.y]
    prove_equal(L.gradient(), claimed, because="∇ = V(p − e_y)")


GRADIENT = statement(
    id="lemma-4.1-gradient",
    where="Lemma 4.1, Eq. (15), second line",
    title="the input gradient, for K classes",
    printed=r"\nabla = V(p(\mathbf x) - \mathbf y)",
    hypotheses=(PIECEWISE, OFF_KINKS, "any label, right or wrong"),
    depends=("lemma-4.1-jacobian",),
    derivation=proof(prove_gradient, wrong=0, mistake="the label forgotten"),
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


HESSIAN = statement(
    id="lemma-4.1-hessian",
    where="Lemma 4.1, Eq. (15), third line",
    title="the Hessian is a covariance",
    printed=r"H = V\left(\operatorname{diag}(p(\mathbf x)) - p(\mathbf x)^Tp(\mathbf x)\right)V^T",
    corrected=r"H = V\left(\operatorname{diag}(p) - p\,p^T\right)V^T",
    hypotheses=(PIECEWISE, OFF_KINKS, "p a column, as ∇ = V(p − y) needs"),
    transcription=True,
    depends=("lemma-4.1-gradient",),
    derivation=proof(prove_hessian, wrong="scalar", mistake="pᵀp as a number"),
)


def prove_pairs(count: int = 1) -> None:
    """½ Σ_iΣ_j p_i p_j (a_i − a_j)(b_i − b_j) = E[ab] − E[a]E[b] for every K, since Σp = 1."""
    p_i, a_i, b_i, p_j, a_j, b_j = sp.symbols("p_i a_i b_i p_j a_j b_j")
    E = weighted_moments()
    pair = sp.Rational(count, 2) * p_i * p_j * (a_i - a_j) * (b_i - b_j)
    total = double_sum(pair, E, (p_i, a_i, b_i), (p_j, a_j, b_j))
    prove_equal(total, E(1, 1, 1) - E(1, 1, 0) * E(1, 0, 1), because="a covariance, pair by pair")


PAIRS = statement(
    id="lemma-4.1-pairs",
    where="Lemma 4.1, Eq. (15), last line",
    title="the Hessian, pair by pair",
    printed=r"H = \sum_{i<j} p(\mathbf x)_i p(\mathbf x)_j (\mathbf v_i-\mathbf v_j)(\mathbf v_i-\mathbf v_j)^T",
    hypotheses=(PIECEWISE, OFF_KINKS),
    depends=("lemma-4.1-hessian",),
    derivation=proof(prove_pairs, wrong=2, mistake="every pair counted twice"),
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


PSD = theorem(
    id="remark-psd",
    title="the Hessian bends upwards in every direction",
    printed=r"0 \preceq H,\quad \operatorname{rank} H \le K-1",
    hypotheses=(PIECEWISE, OFF_KINKS),
    depends=("lemma-4.1-pairs",),
    derivation=proof(prove_psd, wrong=1, mistake="sums of a pair for its difference"),
)

# --- ξ ---------------------------------------------------------------------------------


def prove_slack(sign: int = 1) -> None:
    """L = −log p_y, so that log K − L = log K + log p_y = log(K p_y), for every K."""
    K, p = sp.symbols("K p_y", positive=True)
    loss = -sp.log(p)
    prove_equal(sp.log(K) - loss, sp.log(K) + sign * sp.log(p), because="ξ = log K − L")
    prove_zero(sp.expand_log(sp.log(K * p)) - (sp.log(K) - loss), because="ξ = log(K p_y)")


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
    transcription=True,  # the minus; Eq. (33) defines the same slack rightly
    hypotheses=("cross-entropy", "β = log K"),
    derivation=proof(prove_slack, wrong=-1, mistake="the printed minus"),
    counterexample=counterexample_xi,
)

CLAIMS = (EQ_14, JACOBIAN, GRADIENT, HESSIAN, PAIRS, PSD, XI)
