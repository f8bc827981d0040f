"""Proposition 4.1: how large ∇ and H can be, Eqs. (16) and (17), and the bound that replaces both.

Both of the paper's bounds have one shape, 2ξ/(a + √(a² + 2bξ)), which falls as a or b grows;
so each is true where a ≥ ‖∇‖₂ and b ≥ ‖H‖₂ (Eq. 33). What is at stake is b.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import sympy as sp

from regrob.claims.claim import Claim, Counterexample, Verdict, proof
from regrob.claims.class_sums import P, Q, double_sum, plain_moments, weighted_moments
from regrob.claims.hypotheses import ANY_LABEL, ARGMAX, DISTINCT, MODEL_BELOW_LOG_K, OFF_KINKS, ORDERED
from regrob.claims.statements.lemma_3_1 import prove_decreasing, prove_lower
from regrob.claims.statements.lemma_4_1 import prove_pairs, prove_psd
from regrob.symbols import SYMBOLIC, for_every_size, prove_equal, prove_sign, prove_zero, sum_over

statement = partial(Claim, chapter="book/proposition_4_1")


theorem = partial(statement, where="new")


E = weighted_moments()  # over all classes


OVER_RIVALS = weighted_moments(Q)

# --- Eq. (34) --------------------------------------------------------------------------


def prove_slope_crude(constant: int = 2) -> None:
    """constant·q² − ‖p − e_y‖² = Σ_{j≠y} p_j(q − p_j), each factor of which is nonnegative."""
    p_j, others = sp.symbols("p_j others", nonnegative=True)  # others = q − p_j, the other rivals
    squared = Q**2 + sum_over(p_j**2, OVER_RIVALS, p_j)
    slack = sum_over(p_j * (Q - p_j), OVER_RIVALS, p_j)
    prove_zero(constant * Q**2 - squared - slack, because="‖p − e_y‖² ≤ 2q²")
    prove_sign(p_j * others, "nonnegative")


def prove_frobenius(share: int = 2) -> None:
    """‖Vw‖² ≤ ‖V‖_F²‖w‖², row by row: (Σa²)(Σw²) − (Σaw)² = ½ΣΣ(a_i w_j − a_j w_i)². So ‖V‖₂ ≤ ‖V‖_F, any n and K."""
    a_i, w_i, a_j, w_j = sp.symbols("a_i w_i a_j w_j", real=True)

    def moment(*powers: int) -> sp.Expr:
        return sp.Symbol("T" + "_".join(str(power) for power in powers))

    pairs = double_sum((a_i * w_j - a_j * w_i) ** 2 / share, moment, (a_i, w_i), (a_j, w_j))
    prove_zero(moment(2, 0) * moment(0, 2) - moment(1, 1) ** 2 - pairs, because="Lagrange's identity")
    prove_sign((a_i * w_j - a_j * w_i) ** 2, "nonnegative")


EQ_34 = statement(
    id="eq-34",
    where="Appendix E, Eq. (34)",
    title="the input gradient against the Lipschitz constant",
    printed=r"\|\nabla\|_2 \le 2(1-p_y)\|V\|_2 \le 2(1-p_y)\|V\|_F",
    hypotheses=(OFF_KINKS, ANY_LABEL),
    depends=("lemma-4.1-gradient",),
    derivation=proof(
        prove_slope_crude, prove_frobenius, wrong=1, mistake="‖p − e_y‖ ≤ q, without the factor √2"
    ),
)

# --- Eq. (35) --------------------------------------------------------------------------


def prove_trace(sign: int = 1) -> None:
    """As H ⪰ 0, tr H − ‖H‖₂ is the sum of the other eigenvalues; it is 0 only if each of them is: rank H ≤ 1."""
    for_every_size("one eigenvalue after the other, whatever their number")
    top, own, rest = sp.symbols("top own rest", nonnegative=True)  # `own` is one of the others
    trace = top + own + rest
    prove_sign(sp.expand(sign * (trace - top)), "nonnegative")
    prove_sign(sp.expand((trace - top) - own), "nonnegative")  # none of them exceeds the difference


EQ_35 = statement(
    id="eq-35",
    where="Appendix E, Eq. (35)",
    title="the curvature is at most the sum over pairs",
    printed=r"\|H\|_2 \le \sum_{i<j} p_i p_j \|\mathbf v_i-\mathbf v_j\|_2^2",
    corrected=r"\|H\|_2 \le \sum_{i<j} p_i p_j \|\mathbf v_i-\mathbf v_j\|_2^2 = \operatorname{tr} H, \text{ with equality iff } \operatorname{rank} H \le 1",
    restated=True,
    hypotheses=(OFF_KINKS, ANY_LABEL),
    depends=("remark-psd",),
    # A diagonal entry of H is the covariance at b = a.
    derivation=proof(prove_pairs, prove_psd, prove_trace, wrong=2, mistake="every pair counted twice"),
)

# --- Eq. (36) --------------------------------------------------------------------------


def prove_bend_crude(constant: int = 2) -> None:
    """2(‖v_i‖² + ‖v_j‖²) − ‖v_i − v_j‖² = ‖v_i + v_j‖²; p_y q − p_i(1 − p_i) is a product ≥ 0."""
    a, b = sp.symbols("a b", real=True)
    prove_sign(constant * (a**2 + b**2) - (a - b) ** 2, "nonnegative", certificate=(a + b) ** 2)
    p_i, lead, rest = sp.symbols("p_i lead rest", nonnegative=True)
    p_y = p_i + lead  # y is the argmax; the classes besides i and y have `rest` = 1 − p_i − p_y
    slack = p_y * (p_i + rest) - p_i * (p_y + rest)
    prove_sign(slack, "nonnegative", certificate=lead * rest)
    # Both indices of Σ_{i≠j} p_i p_j(‖v_i‖² + ‖v_j‖²) give the same: 2 Σ p_i(1 − p_i)‖v_i‖².
    p_1, w_1, p_2, w_2 = sp.symbols("p_1 w_1 p_2 w_2")
    double = double_sum(p_1 * p_2 * (w_1 + w_2), E, (p_1, w_1), (p_2, w_2))
    diagonal = sum_over(2 * p_1**2 * w_1, E, p_1, w_1)
    claimed = sum_over(2 * p_1 * (1 - p_1) * w_1, E, p_1, w_1)
    prove_equal(double - diagonal, claimed, because="each index counts once")


CRUDE_BEND = (prove_bend_crude, prove_pairs, prove_psd, prove_trace)
"""‖H‖₂ ≤ 2p_y q‖V‖_F²."""


EQ_36 = statement(
    id="eq-36",
    where="Appendix E, Eq. (36)",
    title="the curvature against the Lipschitz constant",
    printed=r"\|H\|_2 \le \sum_{i\ne j} p_i p_j(\|\mathbf v_i\|_2^2+\|\mathbf v_j\|_2^2) \le 2p_y(1-p_y)\|V\|_F^2",
    hypotheses=(OFF_KINKS, ARGMAX),
    depends=("eq-35",),
    derivation=proof(*CRUDE_BEND, wrong=1, mistake="‖v_i‖² + ‖v_j‖² without the 2"),
)

# --- the sharp forms -------------------------------------------------------------------


def gershgorin() -> tuple[sp.Expr, sp.Expr]:
    """wᵀMw, M = diag p − ppᵀ, and ½ Σ_{i≠j} p_i p_j (w_i + w_j)²; they add up to 2 Σ p_i(1 − p_i)w_i²."""
    p_i, w_i, p_j, w_j = sp.symbols("p_i w_i p_j w_j")
    double = double_sum(p_i * p_j * (w_i + w_j) ** 2 / 2, E, (p_i, w_i), (p_j, w_j))
    off_diagonal = double - sum_over(2 * p_i**2 * w_i**2, E, p_i, w_i)
    return E(1, 2) - E(1, 1) ** 2, off_diagonal


def prove_sharp(radius: int = 2) -> None:
    """‖p − e_y‖² ≤ q·min(1, 2q) and λ_max(M) ≤ p_y·min(1, 2q): four sums of signed terms."""
    p_j, lead, w = sp.symbols("p_j lead w", nonnegative=True)
    # ‖p − e_y‖² ≤ q: the slack is Σ_{j≠y} p_j(p_y − p_j).
    squared = Q**2 + sum_over(p_j**2, OVER_RIVALS, p_j)
    slack = sum_over(p_j * (P - p_j), OVER_RIVALS, p_j)
    prove_zero((Q - squared - slack).subs(P, 1 - Q), because="‖p − e_y‖² ≤ q")
    prove_sign(p_j * lead, "nonnegative")
    prove_slope_crude()  # ‖p − e_y‖² ≤ 2q²
    # p_y|w|² − wᵀMw = Σ (p_y − p_i)w_i² + (pᵀw)².
    p_i, w_i = sp.symbols("p_i w_i")
    form, off_diagonal = gershgorin()
    gaps = sum_over((P - p_i) * w_i**2, E, p_i, w_i)
    prove_zero(P * E(0, 2) - form - gaps - E(1, 1) ** 2, because="M ⪯ p_y I")
    prove_sign(lead * w**2, "nonnegative")
    # 2Σp_i(1 − p_i)w_i² − wᵀMw is a sum of squares.
    rows = sum_over(radius * p_i * (1 - p_i) * w_i**2, E, p_i, w_i)
    prove_zero(rows - form - off_diagonal, because="Gershgorin")
    prove_bend_crude()  # p_i(1 − p_i) ≤ p_y q


SHARP = theorem(
    id="thm-sharp-norms",
    title="how large gradient and curvature can be",
    printed=r"\|\nabla\|_2^2 \le q\min(1,2q)\,\|VC\|_2^2,\quad \|H\|_2 \le p_y\min(1,2q)\,\|VC\|_2^2,\quad C = I-\tfrac1K\mathbf 1\mathbf 1^T",
    hypotheses=(OFF_KINKS, ARGMAX),
    depends=("lemma-4.1-gradient", "lemma-4.1-hessian"),
    derivation=proof(prove_sharp, wrong=1, mistake="Gershgorin's radius forgotten"),
)


def prove_centring(shift: int = 1) -> None:
    """‖VC‖_F² = ‖V‖_F² − K‖v̄‖² = D/K with D = Σ_{i<j}‖v_i − v_j‖² and v̄ = V1/K, row by row: any n and K."""
    K = sp.Symbol("K", positive=True)
    a_i, a_j = sp.symbols("a_i a_j")
    moment = plain_moments(K)
    D = double_sum((a_i - a_j) ** 2 / 2, moment, (a_i,), (a_j,))
    centred = sum_over((a_i - moment(1) / K) ** 2, moment, a_i)
    prove_zero(centred - (moment(2) - K * (moment(1) / K) ** 2), because="‖VC‖_F² = ‖V‖_F² − K‖v̄‖²")
    prove_zero((K - 1) * D / K - (K - shift) * centred, because="‖VC‖_F² = D/K")


def prove_differences(sign: int = -1) -> None:
    """∇ = V(p − e_y) = Σ_{j≠y}p_j(v_j − v_y), since Σ_{j≠y}p_j = q: only differences of columns enter, for every K."""
    a_y, p_j, a_j = sp.symbols("a_y p_j a_j")
    whole = (1 - Q) * a_y + sum_over(p_j * a_j, OVER_RIVALS, p_j, a_j) - a_y  # one coordinate of V(p − e_y)
    pairs = sum_over(p_j * (a_j + sign * a_y), OVER_RIVALS, p_j, a_j)
    prove_zero(whole - pairs, because="rival by rival")


ABSENT = statement(
    id="remark-cross-lipschitz-absent",
    where="Section 4, below Lemma 4.1",
    title="is the cross-Lipschitz constant absent in ‖∇‖₂?",
    printed=r"\text{“the local cross-Lipschitz constant seems absent in } \|\nabla\|_2\text{”}",
    reading=r"\text{the question whether } \|\nabla\|_2 \text{ is bounded by } \nu",
    corrected=r"\text{it is: } \nabla = \sum_{j\ne y}p_j(\mathbf v_j-\mathbf v_y), \text{ so that } \|\nabla\|_2^2 \le q\min(1,2q)\,\tfrac K2\nu^2; \text{ equality at } K=2",
    hypotheses=(OFF_KINKS, ARGMAX, ORDERED),
    depends=("lemma-4.1-gradient", "thm-sharp-norms"),
    derivation=proof(
        *(prove_differences, prove_sharp, prove_centring), wrong=1, mistake="sums of columns for differences"
    ),
)


def prove_trace_bound(factor: int = 2) -> None:
    """tr H ≤ (2/K)p_y q D, row by row: wᵀMw ≤ 2p_y q‖w‖² for w the row of VC, and ‖VC‖_F² = D/K. Any n and K.

    M takes no notice of a constant added to w. The slack is ½Σ_{i≠j} p_i p_j (w_i + w_j)² and
    2Σ(p_y q − p_i(1 − p_i))w_i², whose factors are products of p_y − p_i and of what is left of 1.
    """
    p_i, w_i, shift = sp.symbols("p_i w_i shift")

    def form(w: sp.Expr) -> sp.Expr:
        return sum_over(p_i * w**2, E, p_i, w_i) - sum_over(p_i * w, E, p_i, w_i) ** 2

    prove_zero(form(w_i + shift) - form(w_i), because="M1 = 0")
    row, off_diagonal = gershgorin()
    left = sum_over(factor * (P * Q - p_i * (1 - p_i)) * w_i**2, E, p_i, w_i)
    prove_zero(2 * P * Q * E(0, 2) - row - off_diagonal - left, because="λ_max(M) ≤ 2p_y q")
    lead, rest = sp.symbols("lead rest", nonnegative=True)  # p_y − p_i and 1 − p_i − p_y
    own = sp.Symbol("p_i", nonnegative=True)
    prove_sign(
        (own + lead) * (own + rest) - own * (own + lead + rest), "nonnegative", certificate=lead * rest
    )
    prove_centring()
    K, D = sp.symbols("K D", positive=True)
    prove_zero(2 * P * Q * (D / K) - factor / K * P * Q * D, because="2p_y q‖VC‖_F²")


TRACE = theorem(
    id="thm-trace-bound",
    title="the sharp constant for each K in place of Eq. (43)'s",
    printed=r"\|H\|_2 \le \operatorname{tr} H \le \frac2K\,p_y(1-p_y)\sum_{i<j}\|\mathbf v_i-\mathbf v_j\|_2^2",
    hypotheses=(OFF_KINKS, ARGMAX),
    depends=("eq-35", "thm-sharp-norms"),
    derivation=proof(prove_trace_bound, prove_psd, prove_trace, wrong=1, mistake="1/K in place of 2/K"),
)

# --- the two bounds --------------------------------------------------------------------


LOWER_END = (prove_lower, prove_decreasing, prove_slope_crude, prove_frobenius)
"""Eq. (33)'s left side with 2q‖V‖_F for ‖∇‖₂, whatever stands for ‖H‖₂."""


SHARP_TRACE = (prove_trace_bound, prove_psd, prove_trace)
"""‖H‖₂ ≤ (2/K)p_y q D."""


XI, MU = sp.symbols("xi mu", positive=True)


def lower_root(a: sp.Expr, b: sp.Expr, xi: sp.Expr = XI) -> sp.Expr:
    """(a/b)(√(1 + 2bξ/a²) − 1), the lower end of Eq. (33)."""
    return a / b * (sp.sqrt(1 + 2 * b * xi / a**2) - 1)


def printed_16(K: sp.Expr, p: sp.Expr, q: sp.Expr, xi: sp.Expr, nu2: sp.Expr, mu: sp.Expr) -> sp.Expr:
    """Eq. (16), symbolic, with μ = ‖V‖_F."""
    k = K * (K - 1) * p * nu2
    return 4 * mu / k * (sp.sqrt(1 + k * xi / (4 * q * mu**2)) - 1)


def prove_above_trace_bound(K: sp.Expr, nu2_over_distance: sp.Expr) -> None:
    """½K(K−1)p_y qν² ≥ (2/K)p_y qD, the sharp bound on tr H."""
    D = sp.Symbol("D", positive=True)
    middle = K * (K - 1) * P * Q * (nu2_over_distance * D) / 2
    prove_sign(sp.factor(middle - 2 / K * P * Q * D), "nonnegative")


def at_least(fewest: int) -> sp.Expr:
    """A symbolic number of classes K ≥ `fewest`."""
    for_every_size(SYMBOLIC)
    return fewest + sp.Symbol("more", nonnegative=True)


# --- Eq. (16) under three readings -----------------------------------------------------


def prove_16(fewest: int = 3, pairs: int = 2) -> None:
    """K ≥ `fewest` makes ½K(K−1)p_y qν² at least the sharp (2/K)p_y qD; ν² = pairs·D/K²."""
    K, D = at_least(fewest), sp.Symbol("D", positive=True)
    nu2 = pairs * D / K**2
    lower_end = lower_root(2 * Q * MU, K * (K - 1) * P * Q * nu2 / 2)
    prove_zero(lower_end - printed_16(K, P, Q, XI, nu2, MU), because="Eq. (16) is Eq. (33)'s lower end")
    prove_above_trace_bound(K, pairs / K**2)


def prove_16_unordered(fewest: int = 5) -> None:
    """Eq. (16) with each pair counted once."""
    prove_16(fewest, pairs=1)


def prove_mean(pairs: int = 2) -> None:
    """With ν² = pairs·D/(K(K−1)), Eq. (43)'s middle is (pairs/2)·p_y qD ≥ (2/K)p_y qD for K ≥ 2."""
    K, D = at_least(2), sp.Symbol("D", positive=True)
    nu2 = pairs * D / (K * (K - 1))
    lower_end = lower_root(2 * Q * MU, K * (K - 1) * P * Q * nu2 / 2)
    prove_zero(lower_end - printed_16(K, P, Q, XI, nu2, MU), because="Eq. (16) is Eq. (33)'s lower end")
    prove_above_trace_bound(K, pairs / (K * (K - 1)))


def refute_16(V: list[list[object]], p: list[object], pairs: int, text: str) -> Counterexample:
    """Eq. (16) against a step along ∇ that reaches ξ, at exact V and p, label 0; ν² = pairs·D/K²."""
    columns, weights = sp.Matrix(V), sp.Matrix(p)
    K = sp.Integer(columns.cols)
    differences = [columns[:, i] - columns[:, j] for i in range(K) for j in range(i + 1, K)]
    nu2 = pairs * sum((d.norm() ** 2 for d in differences), sp.S.Zero) / K**2
    mu = sp.sqrt(sum((entry**2 for entry in columns), sp.S.Zero))
    g = columns * (weights - sp.Matrix([1] + [0] * (columns.cols - 1)))
    H = columns * (sp.diag(*weights) - weights * weights.T) * columns.T
    square = (g.T * g)[0]
    p_y, xi = weights[0], sp.log(K * weights[0])
    return Counterexample(
        text,
        lower_root(sp.sqrt(square), (g.T * H * g)[0] / square, xi),
        ">=",
        printed_16(K, p_y, 1 - p_y, xi, nu2, mu),
    )


def counterexample_ordered() -> Counterexample:
    """K = 2, V = (½, −½), x = log 9: p = 9/10."""
    half, p = sp.Rational(1, 2), sp.Rational(9, 10)
    return refute_16(
        [[half, -half]],
        [p, 1 - p],
        2,
        r"K = 2,\ V = (\tfrac12, -\tfrac12),\ x = \log 9,\ p_y = \tfrac9{10},\ \nu^2 = \tfrac12:\ \|\mathbf r^*\|_2 \text{ against Eq. (16)}",
    )


def counterexample_unordered(classes: int = 4) -> Counterexample:
    """i < j over K²: V = (½, −½) in the first input, the other classes in the second."""
    half, tenth = sp.Rational(1, 2), sp.Rational(-1, 10)
    others = classes - 2
    V = [[half, -half] + [0] * others, [0, 0] + [tenth] * others]
    tail = sp.Rational(1, 10**6)
    second = sp.Rational(1, 1000) - others * tail
    return refute_16(
        V,
        [sp.Rational(999, 1000), second] + [tail] * others,
        1,
        rf"K = {classes},\ V = \begin{{pmatrix}} \tfrac12 & -\tfrac12 & 0 & \cdots \\ 0 & 0 & -\tfrac1{{10}} & \cdots \end{{pmatrix}},\ p_0 = \tfrac{{999}}{{1000}},\ p_2 = \cdots = 10^{{-6}}: \text{{ a step that reaches }} \xi \text{{ against Eq. (16)}}",
    )


PRINTED_16 = r"\|\mathbf r^*\|_2 \ge \frac{4\|V\|_F}{K(K-1)p_y\nu^2}\left(\sqrt{1+\frac{K(K-1)p_y\nu^2\xi}{4(1-p_y)\|V\|_F^2}}-1\right)"

EQ_16 = statement(
    id="prop-4.1-eq-16",
    where="Proposition 4.1, Eq. (16), ν² over ordered pairs",
    title="a lower bound by the cross-Lipschitz constant",
    printed=PRINTED_16,
    corrected=PRINTED_16 + r"\quad\text{for } K \ge 3",
    hypotheses=(OFF_KINKS, ARGMAX, MODEL_BELOW_LOG_K, ORDERED, DISTINCT, "K ≥ 3 (printed: K ≥ 2)"),
    depends=("eq-33", "eq-33-decreasing", "eq-34", "thm-trace-bound"),
    derivation=proof(prove_16, *LOWER_END, *SHARP_TRACE, wrong=2, mistake="K ≥ 2"),
    counterexample=counterexample_ordered,
    expected=Verdict.PARTLY,
)

EQ_16_UNORDERED = replace(
    EQ_16,
    id="prop-4.1-eq-16-unordered",
    where="Proposition 4.1, Eq. (16), ν² over pairs i < j",
    title="the same with each pair counted once",
    reading=r"\nu^2 = \frac1{K^2}\sum_{i<j}\|\mathbf v_i-\mathbf v_j\|_2^2, \text{ as “}\textstyle\sum\text{” may also mean}",
    corrected=PRINTED_16 + r"\quad\text{for } K \ge 5",
    hypotheses=(
        OFF_KINKS,
        ARGMAX,
        MODEL_BELOW_LOG_K,
        "ν² = Σ_{i<j} ‖v_i − v_j‖² / K² > 0",
        "K ≥ 5 (printed: K ≥ 2)",
    ),
    derivation=proof(prove_16_unordered, *LOWER_END, *SHARP_TRACE, wrong=4, mistake="K ≥ 4"),
    counterexample=counterexample_unordered,
)

EQ_16_MEAN = replace(
    EQ_16,
    id="prop-4.1-eq-16-mean",
    where="Proposition 4.1, Eq. (16), ν² the mean over K(K − 1) ordered pairs",
    title="the normalisation that makes the algebra work",
    corrected=None,
    reading=r"\nu^2 = \frac1{K(K-1)}\sum_{i\ne j}\|\mathbf v_i-\mathbf v_j\|_2^2, \text{ with which the step from (38)'s sum is right}",
    hypotheses=(OFF_KINKS, ARGMAX, MODEL_BELOW_LOG_K, "ν² = Σ_{i≠j} ‖v_i − v_j‖² / (K(K − 1)) > 0"),
    derivation=proof(prove_mean, *LOWER_END, *SHARP_TRACE, wrong=1, mistake="pairs i < j over K(K − 1)"),
    counterexample=None,
    expected=Verdict.HOLDS,
)


def counterexample_38() -> Counterexample:
    """K = 2, V = (½, −½), p = 9/10: the second ≥ of Eq. (38), b = p_y q/2 against p_y q."""
    K, p, half = sp.Integer(2), sp.Rational(9, 10), sp.Rational(1, 2)
    q, xi, mu = 1 - p, sp.log(K * p), sp.sqrt(half)
    return Counterexample(
        r"K = 2,\ V = (\tfrac12,-\tfrac12),\ p_y = \tfrac9{10}: \text{ Eq. (38)'s middle against its last line}",
        lower_root(2 * q * mu, p * q, xi),
        ">=",
        printed_16(K, p, q, xi, half, mu),
    )


EQ_38 = statement(
    id="eq-38",
    where="Appendix E, Eq. (38)",
    title="from the sum over pairs to Eq. (16)",
    printed=r"\|\mathbf r^*\|_2 \ge \frac{2(1-p_y)\|V\|_F}{S}\sqrt{1+\frac{2S\xi}{4(1-p_y)^2\|V\|_F^2}-1} \ge \text{Eq. (16)},\ S = \sum_{i<j}p_ip_j\|\mathbf v_i-\mathbf v_j\|_2^2,\ \nu := \sum\|\mathbf v_i-\mathbf v_j\|_2^2/K^2",
    corrected=r"\text{the } {-1} \text{ stands outside the root (inside, it may be a slip of the recovery), } \nu^2 \text{ stands in place of } \nu, \text{ and the second } \ge \text{ holds for } K \ge 3",
    hypotheses=(OFF_KINKS, ARGMAX, MODEL_BELOW_LOG_K, ORDERED, DISTINCT, "K ≥ 3 in the second link"),
    depends=("eq-33", "eq-33-decreasing", "eq-34", "eq-35", "thm-trace-bound"),
    derivation=proof(
        prove_16, prove_pairs, *LOWER_END, *SHARP_TRACE, wrong=2, mistake="K ≥ 2 in the second link"
    ),
    counterexample=counterexample_38,
    expected=Verdict.PARTLY,
)

# --- which bound is tighter ------------------------------------------------------------


def prove_tighter(three: int = 3) -> None:
    """½K(K−1)p_y qν² < 2p_y q‖V‖_F² says (K−1)‖VC‖_F² < 2‖V‖_F²; for K ≤ 3 it is “≤” always.

    The bounds have one a; the one with the smaller b is the larger root.
    """
    K, F, mean = sp.symbols("K F mean", positive=True)  # ‖V‖_F², K‖v̄‖²
    spread = F - mean  # ‖VC‖_F² = D/K, and ν² = 2D/K²
    ours, theirs = K * (K - 1) * P * Q * (2 * spread / K) / 2, 2 * P * Q * F
    prove_zero(theirs - ours - P * Q * (2 * F - (K - 1) * spread), because="which b is smaller")
    few, beyond = sp.symbols("few beyond", nonnegative=True)  # 3 − K, K − 1
    prove_zero((2 * F - (K - 1) * spread) - ((three - K) * F + (K - 1) * mean), because="K ≤ 3")
    prove_sign(few * F + beyond * mean, "nonnegative")


TIGHTER = statement(
    id="remark-which-bound",
    where="Appendix E, below Eq. (38)",
    title="which of Eqs. (16) and (17) is tighter",
    printed=r"\text{which of the two lower bounds is tighter stays open, since } K(K-1)\nu^2/4 \text{ and } \|V\|_F^2 \text{ are hard to compare}",
    reading=r"\text{the question which bound is tighter}",
    corrected=r"\tfrac{K(K-1)}4\nu^2 = \tfrac{K-1}2\left(\|V\|_F^2-K\|\bar{\mathbf v}\|_2^2\right): \text{ Eq. (16) is tighter iff } (K-1)\left(\|V\|_F^2-K\|\bar{\mathbf v}\|_2^2\right) < 2\|V\|_F^2; \text{ always at least as tight for } K \le 3",
    hypotheses=(ORDERED, DISTINCT, "ξ > 0", "v̄ = V1/K, the plain mean of the columns"),
    depends=("prop-4.1-eq-16", "prop-4.1-eq-17"),
    derivation=proof(
        prove_centring, prove_tighter, prove_decreasing, wrong=2, mistake="K − 2 for K − 1"
    ),  # ν² = 2D/K²
)

# --- Eqs. (17) and (37) ----------------------------------------------------------------


def prove_17(constant: int = 2) -> None:
    """Eq. (33)'s lower end at a = 2qμ, b = 2p_y qμ² is Eq. (17)."""
    for_every_size("a and b are numbers; the other steps bound them for every n and K")
    printed = (sp.sqrt(1 + P * XI / Q) - 1) / (P * MU)
    prove_zero(lower_root(2 * Q * MU, constant * P * Q * MU**2) - printed, because="Eq. (37)'s last step")


def counterexample_37() -> Counterexample:
    """K = 2, V = (½, −½), p = 9/10: the radius, which is exact for two classes, against the middle without ξ."""
    p, mu = sp.Rational(9, 10), sp.sqrt(sp.Rational(1, 2))
    q, xi = 1 - p, sp.log(2 * p)
    return Counterexample(
        r"K = 2,\ V = (\tfrac12,-\tfrac12),\ p_y = \tfrac9{10}:\ \|\mathbf r^*\|_2 \text{ against Eq. (37)'s middle as printed}",
        lower_root(q, p * q, xi),
        ">=",
        lower_root(2 * q * mu, 2 * p * q * mu**2, sp.Integer(1)),
    )


EQ_37 = statement(
    id="eq-37",
    where="Appendix E, Eq. (37)",
    title="from the norms' bounds to the radius's",
    printed=r"\|\mathbf r^*\|_2 \ge \frac{2(1-p_y)\|V\|_F}{2p_y(1-p_y)\|V\|_F^2}\left(\sqrt{1+\frac{4p_y(1-p_y)\|V\|_F^2}{4(1-p_y)^2\|V\|_F^2}}-1\right) \ge \cdots",
    corrected=r"\|\mathbf r^*\|_2 \ge \frac{2q\|V\|_F}{2p_yq\|V\|_F^2}\left(\sqrt{1+\frac{4p_yq\|V\|_F^2\,\xi}{4q^2\|V\|_F^2}}-1\right) = \frac{1}{p_y\|V\|_F}\left(\sqrt{1+\frac{p_y\xi}{q}}-1\right)",
    transcription=True,  # ξ is missing under the first root
    hypotheses=(OFF_KINKS, ARGMAX, MODEL_BELOW_LOG_K, "V ≠ 0"),
    depends=("eq-33", "eq-33-decreasing", "eq-34", "eq-36"),
    derivation=proof(prove_17, *LOWER_END, *CRUDE_BEND, wrong=4, mistake="‖H‖ ≤ 4p_y q‖V‖²"),
    counterexample=counterexample_37,
)

EQ_17 = statement(
    id="prop-4.1-eq-17",
    where="Proposition 4.1, Eq. (17)",
    title="a lower bound by the Lipschitz constant",
    printed=r"\|\mathbf r^*\|_2 \ge \frac{1}{p_y\|V\|_F}\left(\sqrt{1+\frac{p_y\xi}{1-p_y}}-1\right)",
    hypotheses=(OFF_KINKS, ARGMAX, MODEL_BELOW_LOG_K, "ξ = log(K p_y)", "V ≠ 0"),
    depends=("eq-37",),
    derivation=proof(prove_17, *LOWER_END, *CRUDE_BEND, wrong=4, mistake="‖H‖ ≤ 4p_y q‖V‖²"),
)

# --- the bound that replaces both ------------------------------------------------------


def prove_loewner(weight: int = 1) -> None:
    """q·(rᵀHr − (p/q)(∇ᵀr)²) = Σ_{i<j; i,j≠y} p_i p_j (a_i − a_j)², a = Vᵀr: any n, K, y.

    The moments are the rivals': their probabilities sum to q.
    """
    q, a_y = sp.symbols("q a_y")
    p, rivals = 1 - q, weighted_moments(q)
    mean = p * a_y + rivals(1, 1)
    form = p * a_y**2 + rivals(1, 2) - mean**2
    along = mean - a_y
    p_i, p_j = sp.symbols("p_i p_j", positive=True)
    a_i, a_j = sp.symbols("a_i a_j", real=True)
    pair = p_i * p_j * (a_i - a_j) ** 2 / 2
    pairs = double_sum(pair, rivals, (p_i, a_i), (p_j, a_j))
    prove_zero(q * form - weight * p * along**2 - pairs, because="the certificate")
    prove_sign(pair, "nonnegative")


def reach(twice: int = 2) -> sp.Expr:
    """B = √(1 + 2p_yξ/q) − 1."""
    return sp.sqrt(1 + twice * P * XI / Q) - 1


def prove_upper_end(twice: int = 2) -> None:
    """As H ⪰ (p/q)∇∇ᵀ, uphill the model gains at least s + (p/2q)s², s = ∇ᵀr, which is ξ at s = (q/p)B."""
    s = Q / P * reach(twice)
    prove_zero(s + P * s**2 / (2 * Q) - XI, because="the upper end reaches ξ")


def prove_two_sided(twice: int = 2) -> None:
    """Insert the sharp norms into Eq. (33)'s lower end; solve the model's minorant for the upper."""
    for_every_size("a and b are numbers; the other steps bound them for every n and K")
    W, c = sp.symbols("W c", positive=True)
    B = reach(twice)
    claimed = sp.sqrt(Q / c) * B / (P * W)
    prove_zero(lower_root(sp.sqrt(Q * c) * W, P * c * W**2) - claimed, because="c cancels under the root")
    prove_zero(claimed.subs(c, 2 * Q) - B / (sp.sqrt(2) * P * W), because="c = 2q")
    prove_zero(claimed.subs(c, 1) - sp.sqrt(Q) * B / (P * W), because="c = 1")
    prove_upper_end(twice)


TWO_SIDED = theorem(
    id="thm-two-sided",
    title="the radius between two closed forms",
    printed=r"\max\!\left(\tfrac1{\sqrt2},\sqrt q\right)\frac{B}{p_y\|VC\|_2} \le \|\mathbf r^*\|_2 \le \frac{B}{p_y\|\mathbf v_y-\mathbf u\|_2},\quad B = \sqrt{1+\tfrac{2p_y\xi}{q}}-1,\ \mathbf u = \tfrac1q\sum_{j\ne y}p_j\mathbf v_j",
    hypotheses=(OFF_KINKS, ARGMAX, MODEL_BELOW_LOG_K, "∇ ≠ 0"),
    depends=("eq-33", "eq-33-decreasing", "thm-sharp-norms", "thm-loewner"),
    derivation=proof(
        *(prove_two_sided, prove_lower, prove_decreasing, prove_sharp, prove_loewner),
        wrong=1,
        mistake="pξ/q under the root",
    ),
)


def prove_dominates(factor: int = 2) -> None:
    """√(qc)W ≤ 2qμ and p_y cW² ≤ 2p_y qμ², as c ≤ 2q and W ≤ μ: the smaller pair wins.

    Eq. (16) has the same a; its b is at least p_y cW² too, as D = K‖VC‖_F² ≥ KW² and K ≥ 3.
    """
    for_every_size(SYMBOLIC)
    W, rest, spare = sp.symbols("W rest spare", nonnegative=True)  # μ² = W² + rest, c = 2q − spare
    mu2, c = W**2 + rest, factor * Q - spare
    prove_sign(
        4 * Q**2 * mu2 - Q * c * W**2,
        "nonnegative",
        certificate=((2 * Q**2 + Q * spare) * W**2 + 4 * Q**2 * rest),
    )
    prove_sign(2 * P * Q * mu2 - P * c * W**2, "nonnegative", certificate=P * (spare * W**2 + 2 * Q * rest))
    more, beyond = sp.symbols("more beyond", nonnegative=True)  # K = 3 + more, ‖VC‖_F² = W² + beyond
    K, D = 3 + more, (3 + more) * (W**2 + beyond)
    prove_sign(
        K * (K - 1) * P * Q * (2 * D / K**2) / 2 - P * c * W**2,
        "nonnegative",
        certificate=P * (Q * more * W**2 + Q * (K - 1) * beyond + spare * W**2),
    )


DOMINATES = theorem(
    id="cor-dominates",
    title="the two-sided bound is never below Eq. (17), nor below Eq. (16) where that holds",
    printed=r"\text{Eqs. (16) [for } K \ge 3], (17) \le \max\!\left(\tfrac1{\sqrt2},\sqrt q\right)\frac{B}{p_y\|VC\|_2}",
    hypotheses=(OFF_KINKS, ARGMAX, "VC ≠ 0", "ν² over ordered pairs in Eq. (16)"),
    depends=("thm-two-sided", "thm-trace-bound", "eq-33-decreasing"),
    derivation=proof(
        prove_dominates, prove_centring, prove_frobenius, prove_decreasing, wrong=3, mistake="c ≤ 3q"
    ),
)

CLAIMS = (
    *(ABSENT, EQ_34, EQ_35, EQ_36, SHARP, TRACE),
    *(EQ_16, EQ_16_UNORDERED, EQ_16_MEAN, EQ_38, TIGHTER),
    *(EQ_37, EQ_17, TWO_SIDED, DOMINATES),
)
