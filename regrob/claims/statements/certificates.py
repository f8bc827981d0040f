"""What was said to certify and does not, the Taylor radius and the threshold log K; and valid certificates."""

from __future__ import annotations

from functools import partial

import sympy as sp

from regrob.claims.claim import Claim, Counterexample, Verdict, proof
from regrob.claims.hypotheses import ARGMAX, BINARY, CORRECT, DISTINCT, OFF_KINKS_SHORT, ORDERED
from regrob.claims.statements.lemma_3_1 import prove_nearest
from regrob.claims.statements.locally_affine import prove_affine
from regrob.claims.statements.ordering import prove_ordering
from regrob.claims.statements.proposition_3_1 import prove_cauchy_schwarz
from regrob.claims.statements.proposition_4_1 import prove_centring, prove_frobenius
from regrob.errors import ProofError
from regrob.symbols import at_size, for_every_size, prove_equal, prove_sign, prove_zero

statement = partial(Claim, chapter="book/certificates")


theorem = partial(statement, where="new")


CERTAIN = "p_y > 1/2, that is m = log(p_y/q) > 0"


AFFINE = "within Q(x), or for an affine classifier"


MOVES = "VC ≠ 0; otherwise no step changes the class, and d is infinite"

# --- "a formal guarantee" --------------------------------------------------------------


def printed_radius(p: sp.Expr, q: sp.Expr, xi: sp.Expr) -> sp.Expr:
    """Eq. (8) at ν = 1."""
    return (sp.sqrt(1 + 2 * p * xi / q) - 1) / p


def counterexample_linear() -> Counterexample:
    """z = (x, 0) at x = log 3: p = 3/4, the boundary is log 3 away."""
    p = sp.Rational(3, 4)
    return Counterexample(
        r"z_+=x,\ z_-=0,\ x=\log3:\ \|\mathbf r^*\|_2 \text{ against the distance to the boundary}",
        printed_radius(p, 1 - p, sp.log(2 * p)),
        "<=",
        sp.log(3),
    )


GUARANTEE = statement(
    id="remark-formal-guarantee",
    where="Section 3.1, below Proposition 3.1",
    title="the Taylor radius as a formal guarantee",
    printed=r"\text{Proposition 3.1 formally guarantees the } \ell_2 \text{ robustness of piecewise-linear networks, whether or not the Taylor approximation is accurate}",
    reading=r"\text{no perturbation shorter than } \|\mathbf r^*\|_2 \text{ changes the class}",
    corrected=r"\text{no perturbation shorter than } \min(d, \operatorname{dist}(\mathbf x,\partial Q(\mathbf x))) \text{ does; } \|\mathbf r^*\|_2>d \text{ even for a linear classifier}",
    hypotheses=(BINARY, OFF_KINKS_SHORT, CORRECT, DISTINCT),
    depends=("thm-taylor-overshoots", "thm-network-certificate", "thm-beyond-the-polytope"),
    counterexample=counterexample_linear,
    expected=Verdict.FAILS,
)


def prove_beyond(leave: int = 0) -> None:
    """z₊ − z₋ = x₁ − 10·max(0, x₂) at (1, −1/100), exactly: d = 1, ‖r*‖ > 1, and (0, 11/100) ends on a tie."""
    at_size(K=2, n=2)
    x_1, x_2 = sp.Integer(1), -sp.Rational(1, 100)
    step = sp.Rational(11, 100) + leave

    def lead(x_2: sp.Expr) -> sp.Expr:
        return x_1 - 10 * sp.Max(0, x_2)

    slopes = sp.Integer(1), sp.diff(x_1 - 10 * sp.S.Zero, sp.Symbol("x_2"))  # x₂ < 0: the unit is off
    distance = lead(x_2) / sp.sqrt(slopes[0] ** 2 + slopes[1] ** 2)
    p = sp.E / (1 + sp.E)  # the lead is one
    radius = printed_radius(p, 1 - p, sp.log(2 * p))
    prove_zero(distance - 1, because="d = 1")
    prove_zero(lead(x_2 + step), because="the step ends on a tie")
    for size in (distance - step, radius - distance):
        prove_sign(size, "positive", certificate=size)


BEYOND = theorem(
    id="thm-beyond-the-polytope",
    where="new, on Section 3.1, below Proposition 3.1",
    title="beyond the polytope V and z say nothing",
    printed=r"z_+-z_-=x_1-10\max(0,x_2),\ \mathbf x=(1,-\tfrac1{100}):\ d = 1 < \|\mathbf r^*\|_2, \text{ yet } \mathbf r=(0,\tfrac{11}{100}) \text{ reaches the boundary}",
    hypotheses=(BINARY, "one network with n = 2"),
    depends=("eq-1-deepfool", "eq-5"),
    derivation=proof(prove_beyond, wrong=1, mistake="a longer step"),
)

# --- the threshold log K ---------------------------------------------------------------


def prove_threshold(denominator: int = 2) -> None:
    """p_y > ½ beats every rival; p_y < 1/K loses to their average; above log 2 both happen. Any K."""
    above, below, e = sp.symbols("above below e", positive=True)
    K = sp.symbols("K", positive=True)
    p = sp.Rational(1, denominator) + above
    prove_sign(p - (1 - p), "positive")  # no rival has more than 1 − p
    p = 1 / K - below
    average = (1 - p) / (K - 1)
    prove_sign(sp.simplify((average - p) * (K - 1)), "positive", certificate=K * below)
    # For any threshold above log 2: p_y = ½ − e loses to a rival with ½ + e/2, and L → log 2 as e → 0.
    prove_sign((sp.Rational(1, 2) + e / 2) - (sp.Rational(1, 2) - e), "positive")
    prove_zero(sp.limit(-sp.log(sp.Rational(1, 2) - e), e, 0) - sp.log(2))


def counterexample_log_k() -> Counterexample:
    """Logits (log 4, log 5, 0), y = 0: p = (2/5, 1/2, 1/10), L = log 5/2 < log 3, and class 1 wins."""
    weights = [sp.Integer(4), sp.Integer(5), sp.Integer(1)]
    p = [w / sum(weights) for w in weights]
    if not (sp.log(3) + sp.log(p[0])).evalf(30) > 0:
        raise ProofError("the loss is not below log 3")
    return Counterexample(
        r"\mathbf z=(\log4,\log5,0),\ y=0:\ \mathcal L=\log\tfrac52<\log3;\ \text{the rival's probability against the label's}",
        p[1],
        "<=",
        p[0],
    )


LOG_K = statement(
    id="remark-threshold-log-k",
    where="Section 4 and Appendix E, β = log K",
    title="with K classes the loss crosses log K at the boundary",
    printed=r"\text{for } K \text{ classes the radius is defined as for two, but with the threshold } \log K \text{ in place of } \log 2",
    reading=r"\mathcal L(\mathbf x, y) < \log K \text{ separates correct from incorrect, as } \log 2 \text{ does with two classes}",
    corrected=r"\mathcal L<\log2 \implies \text{correct (no larger constant will do)},\quad \mathcal L>\log K \implies \text{incorrect};\ \text{between the two the loss does not decide}",
    hypotheses=("K ≥ 3; at K = 2 both are log 2",),
    depends=("remark-beta",),
    derivation=proof(prove_threshold, wrong=3, mistake="p_y > 1/3 instead of 1/2"),
    counterexample=counterexample_log_k,
    expected=Verdict.FAILS,
)

# --- valid certificates ----------------------------------------------------------------


def prove_chain(share: int = 2) -> None:
    """m ≤ every gap, ‖v_y − v_j‖ ≤ √2‖VC‖₂ and 2‖VC‖₂² ≤ Kν²; at K = 2 all three are equalities. Any n and K.

    e^{−m} = Σe^{−gap_j} ≥ e^{−gap}. The columns of VC are v_k − v̄, so v_y − v_j = VC(e_y − e_j), and e_y − e_j has
    length √2. ‖VC‖₂² ≤ ‖VC‖_F² = D/K, and ν² = 2D/K².
    """
    gap, others = sp.symbols("gap others", positive=True)
    m = -sp.log(sp.exp(-gap) + others)  # others: the remaining rivals' e^{−gap_j}
    prove_sign(sp.simplify(sp.exp(gap - m)) - 1, "positive")
    v_y, v_j, mean = sp.symbols("v_y v_j mean", real=True)
    prove_zero((v_y - mean) - (v_j - mean) - (v_y - v_j), because="v_y − v_j = VC(e_y − e_j)")
    prove_zero(sp.Integer(1) ** 2 + (-1) ** 2 - share, because="‖e_y − e_j‖²")
    K, D = sp.symbols("K D", positive=True)
    nu2 = 2 * D / K**2
    prove_equal(2 * D / K, K * nu2, because="2‖VC‖_F² = Kν²")
    prove_zero((K * nu2).subs(K, 2) - D, because="K = 2: the one difference")


CHAIN = theorem(
    id="thm-affine-certificates",
    title="valid radii from the logit margin and Lipschitz constants",
    printed=r"d \ge \frac m{\max_j\|\mathbf v_y-\mathbf v_j\|_2} \ge \frac m{\sqrt2\,\|VC\|_2} \ge \frac m{\sqrt K\,\nu},\qquad m=\log\frac{p_y}{1-p_y};\ \text{ equalities at } K=2",
    hypotheses=(AFFINE, CERTAIN, MOVES, ORDERED, "d is the distance to the nearest mistake"),
    depends=("eq-1-deepfool",),
    derivation=proof(
        *(prove_chain, prove_nearest, prove_centring, prove_frobenius),
        wrong=1,
        mistake="a difference of length one",
    ),
)


def prove_smooth(bend: int = 1) -> None:
    """ρ = 2ξ/(a + √(a² + wξ)) solves aρ + wρ²/4 = ξ, w = ‖VC‖₂²; the true loss stays below that parabola.

    L(x + r) = L + ∇ᵀr + ½rᵀH(x + sr)r for some s in (0, 1), and H ⪯ ½‖VC‖₂²I at every point.
    """
    for_every_size("‖∇‖₂, ‖VC‖₂ and ξ are numbers; the other steps hold for every n and K")
    a, w, xi = sp.symbols("a w xi", positive=True)
    rho = 2 * xi / (a + sp.sqrt(a**2 + w * xi))
    prove_zero(a * rho + bend * w * rho**2 / 4 - xi, because="the parabola reaches log 2")


SMOOTH = theorem(
    id="thm-smooth-certificate",
    title="a valid radius from a curvature that holds everywhere",
    printed=r"d \ge \frac{2\xi}{\|\nabla\|_2+\sqrt{\|\nabla\|_2^2+\|VC\|_2^2\,\xi}},\qquad \xi=\log2-\mathcal L",
    hypotheses=(AFFINE, CERTAIN, MOVES, "‖H‖₂ ≤ ‖VC‖₂²/2 at every point, not only at x"),
    depends=("thm-sharp-norms", "remark-threshold-log-k"),
    derivation=proof(
        *(prove_smooth, prove_ordering, prove_cauchy_schwarz, prove_threshold),
        wrong=2,
        mistake="twice the curvature",
    ),
)


def prove_kept(reach: int = 1) -> None:
    """‖r‖ < |h(x)|/‖∇h‖ keeps the sign of h(x + r) = h(x) + ∇hᵀr, layer by layer; ‖r‖ < d keeps each lead likewise.

    While the layers below keep their masks, a unit's input is affine along r. So no mask changes and x + r stays in
    Q(x), where the logits are affine: a lead z_y − z_j is one more such h.
    """
    for_every_size("one unit, and one rival, after the other, whatever n and K")
    h, room = sp.symbols("h room", positive=True)  # |h(x)|, and by how much ‖∇h‖‖r‖ stays below it
    spare = sp.symbols("spare", nonnegative=True)  # ∇hᵀr ≥ −‖∇h‖‖r‖, by Cauchy and Schwarz
    dot = -reach * (h - room) + spare
    prove_sign(sp.expand(h + dot), "positive")


NETWORK = theorem(
    id="thm-network-certificate",
    title="a certificate for the network itself",
    printed=r"\|\mathbf r\|_2 < \min\big(d,\ \operatorname{dist}(\mathbf x,\partial Q(\mathbf x))\big) \implies \mathbf x+\mathbf r \text{ keeps its class},\qquad \operatorname{dist}(\mathbf x,\partial Q)=\min_h\frac{|h(\mathbf x)|}{\|\nabla h(\mathbf x)\|_2}",
    hypotheses=(
        "a network whose only kinks are (leaky) ReLUs and max-pools",
        ARGMAX,
        "h runs over the pre-activations and, in a pool's window, the largest element's lead over each other",
        "units with ∇h = 0 are left out",
    ),
    depends=("eq-1-deepfool", "eq-5", "remark-polytope"),
    derivation=proof(
        *(prove_kept, prove_cauchy_schwarz, prove_nearest, prove_affine),
        wrong=2,
        mistake="twice the distance",
    ),
)

# --- many classes: the Taylor radius may err on either side ----------------------------


def taylor_and_margin(x: sp.Expr, K: int = 3) -> tuple[sp.Expr, sp.Expr]:
    """‖r*‖ at β = log K and d, exactly, for one input and V = (1, 0, …, 0), z = (x, 0, …, 0)."""
    odds = sp.exp(x)
    p = odds / (odds + K - 1)
    q, xi = 1 - p, sp.log(K * p)
    return 2 * xi / (q + sp.sqrt(q**2 + 2 * p * q * xi)), x


def prove_both_sides(order: int = 1) -> None:
    """x = log 6/5: 0.18223 < 0.18232. x = log 8: 2.286 > 2.079. Exact numbers, K = 3."""
    at_size(K=3, n=1)
    for x, sign in ((sp.log(sp.Rational(6, 5)), -1), (sp.log(8), 1)):
        radius, margin = taylor_and_margin(x)
        gap = order * sign * (radius - margin)
        prove_sign(gap, "positive", certificate=gap)


EITHER = theorem(
    id="thm-many-classes-either-side",
    title="with three classes the Taylor radius may also fall short",
    printed=r"K=3,\ V=(1,0,0),\ \mathbf z=(x,0,0):\ \|r^*\|<d \text{ at } x=\log\tfrac65,\quad \|r^*\|>d \text{ at } x=\log8\qquad(\beta=\log3)",
    hypotheses=(
        "K = 3",
        "β = log K",
        "n = 1",
    ),
    depends=("lemma-4.1-hessian",),
    derivation=proof(prove_both_sides, wrong=-1, mistake="the two exchanged"),
)

AFTER_PROP_3_1 = (GUARANTEE, BEYOND)

CLAIMS = (LOG_K, CHAIN, SMOOTH, NETWORK, EITHER)
