"""Valid certificates in place of the Taylor radius: for the affine classifier, and for the network."""

from __future__ import annotations

import math
from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor

from regrob.certificates import AffineCertificates, affine_certificates
from regrob.claims.claim import Check, Claim, Derivation, Evidence, Text
from regrob.claims.instances import Draw
from regrob.claims.many import ARGMAX, ORDERED, Case, both, violation
from regrob.claims.statements.guarantee import PAGE, exceeds
from regrob.claims.statements.setting import prove_nearest
from regrob.symbols import prove_sign, prove_zero, sum_over
from regrob.theory import bounds, derivatives, probability, taylor_radius
from regrob.theory.margin import margin_l2

CERTAIN = "p_y > 1/2, that is m = log(p_y/q) > 0"
AFFINE = "within Q(x), or for an affine classifier"
MOVES = "VC ≠ 0; otherwise no step changes the class, and d is infinite"

# --- valid certificates ----------------------------------------------------------------


def prove_chain(share: int = 2) -> None:
    """e^{−m} = Σ e^{−gap_j} ≥ e^{−gap}; C(e_y − e_j) = e_y − e_j, of length √2; ‖VC‖_F² = Kν²/2."""
    gap, others = sp.symbols("gap others", positive=True)
    m = -sp.log(sp.exp(-gap) + others)  # others: the remaining rivals' e^{−gap_j}
    prove_sign(sp.simplify(sp.exp(gap - m)) - 1, "positive")
    K = sp.symbols("K", positive=True)
    entry = sp.symbols("entry", real=True)
    mean_of_difference = (1 - 1) / K  # the entries of e_y − e_j add to zero: C changes nothing
    prove_zero(mean_of_difference + 1**2 + (-1) ** 2 - share, because="‖e_y − e_j‖²")
    v_i, v_j = sp.symbols("v_i v_j", real=True)

    def moment(i: int) -> sp.Expr:
        return K if i == 0 else sp.Symbol(f"S{i}")

    centred = sum_over((entry - moment(1) / K) ** 2, moment, entry)  # ‖VC‖_F² in one coordinate
    ordered = sum_over(sum_over((v_i - v_j) ** 2, moment, v_j), moment, v_i) / K**2
    prove_zero(centred - K * ordered / 2, because="‖VC‖_F² = Kν²/2 ≥ ‖VC‖₂²")


def _bounds(case: Case) -> AffineCertificates:
    return affine_certificates(case.V, case.z, case.y)


def _chain_excess(case: Case) -> Tensor:
    """The three links' violations; equality at K = 2, where m is the gap itself."""
    b = _bounds(case)
    links = [
        violation(b.pairs, b.margin),
        violation(b.spectral, b.pairs),
        violation(b.cross_lipschitz, b.spectral),
    ]
    if case.z.shape[-1] == 2:
        links = [link.abs() for link in links]
    return torch.stack(links).nan_to_num(0.0).amax(dim=0)  # 0/0: nothing certified, nothing violated


def _reversed_excess(case: Case) -> Tensor:
    b = _bounds(case)
    return violation(b.margin, b.cross_lipschitz)


CHAIN = Claim(
    id="thm-affine-certificates",
    where="new",
    title="valid radii from the logit margin and Lipschitz constants",
    printed=(
        r"d \ge \frac m{\max_j\|\mathbf v_y-\mathbf v_j\|_2} \ge \frac m{\sqrt2\,\|VC\|_2} \ge "
        r"\frac m{\sqrt K\,\nu},\qquad m=\log\frac{p_y}{1-p_y};\ \text{ equalities at } K=2"
    ),
    text=Text.NEW,
    hypotheses=(AFFINE, CERTAIN, MOVES, ORDERED, "d is the distance to the nearest mistake"),
    depends=("eq-1-deepfool",),
    chapter=PAGE,
    derivation=Derivation(prove_chain, lambda: prove_chain(1), "a difference of length one"),
    checks=both("the chain's three links", _chain_excess, _reversed_excess, "the ends exchanged"),
)


def prove_smooth(bend: int = 1) -> None:
    """ρ = 2ξ/(a + √(a² + wξ)) solves aρ + wρ²/4 = ξ; the true loss stays below that parabola."""
    a, w, xi = sp.symbols("a w xi", positive=True)
    root = sp.sqrt(a**2 + w * xi)
    rho = 2 * xi / (a + root)
    prove_zero(a * rho + bend * w * rho**2 / 4 - xi, because="the parabola reaches log 2")
    # L(x + r) = L + ∇ᵀr + ½rᵀH(x + sr)r for some s in (0, 1), and H ⪯ ½‖VC‖₂² I everywhere:
    # Gershgorin's rows of diag p − ppᵀ reach 2p(1 − p) = ½ − 2(p − ½)² at most.
    p = sp.symbols("p", positive=True)
    prove_zero(sp.Rational(1, 2) - 2 * p * (1 - p) - 2 * (p - sp.Rational(1, 2)) ** 2)


def _smooth_excess(case: Case) -> Tensor:
    b = _bounds(case)
    return violation(b.smooth, b.margin)


def _local_smooth(case: Case) -> Tensor:
    """The same with the curvature at x itself: a Taylor radius."""
    b = _bounds(case)
    xi = probability.slack(case.z, case.y, threshold=math.log(2.0)).clamp_min(0.0)
    taylor = taylor_radius.positive_root(case.slope, derivatives.curvature(case.V, case.z), xi)
    return violation(taylor, b.margin)


SMOOTH = Claim(
    id="thm-smooth-certificate",
    where="new",
    title="a valid radius from a curvature that holds everywhere",
    printed=(
        r"d \ge \frac{2\xi}{\|\nabla\|_2+\sqrt{\|\nabla\|_2^2+\|VC\|_2^2\,\xi}},\qquad \xi=\log2-\mathcal L"
    ),
    text=Text.NEW,
    hypotheses=(AFFINE, CERTAIN, MOVES, "‖H‖₂ ≤ ‖VC‖₂²/2 at every point, not only at x"),
    depends=("thm-sharp-norms", "remark-threshold-log-k"),
    chapter=PAGE,
    derivation=Derivation(prove_smooth, lambda: prove_smooth(2), "twice the curvature"),
    checks=both("the smooth radius against d", _smooth_excess, _local_smooth, "the curvature at x"),
)

NETWORK = Claim(
    id="thm-network-certificate",
    where="new",
    title="a certificate for the network itself",
    printed=(
        r"\|\mathbf r\|_2 < \min\big(d,\ \operatorname{dist}(\mathbf x,\partial Q(\mathbf x))\big) \implies "
        r"\mathbf x+\mathbf r \text{ keeps its class},\qquad \operatorname{dist}(\mathbf x,\partial Q)="
        r"\min_h\frac{|h(\mathbf x)|}{\|\nabla h(\mathbf x)\|_2}"
    ),
    text=Text.NEW,
    hypotheses=(
        "a network whose only kinks are (leaky) ReLUs and max-pools",
        ARGMAX,
        "h runs over the pre-activations and, in a pool's window, the largest element's lead over each other",
        "units with ∇h = 0 are left out",
    ),
    depends=("eq-1-deepfool", "eq-5", "remark-polytope"),
    chapter=PAGE,
    derivation=Derivation(
        prove_nearest, lambda: prove_nearest(2), "twice the squared distance to a hyperplane"
    ),
    checks=tuple(
        Check(
            f"the exact nearest mistake of random and trained networks, K = {K}",
            exceeds(K, lambda found: found.certified),
            exceeds(K, lambda found: found.margin),
            "d alone",
        )
        for K in (2, 3)
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
    for x, sign in ((sp.log(sp.Rational(6, 5)), -1), (sp.log(8), 1)):
        radius, margin = taylor_and_margin(x)
        gap = order * sign * (radius - margin)
        prove_sign(gap, "positive", certificate=gap)


def _either_side(x: float, sign: int) -> Callable[[Draw], Tensor]:
    """The package's own bracket, which is exact here, against its margin."""

    def excess(draw: Draw) -> Tensor:
        V = torch.tensor([[[1.0, 0.0, 0.0]]], dtype=torch.float64)
        z = torch.tensor([[x, 0.0, 0.0]], dtype=torch.float64)
        y = torch.tensor([0])
        return sign * (bounds.radius_l2_bracket(V, z, y).upper - margin_l2(V, z, y))

    return excess


EITHER = Claim(
    id="thm-many-classes-either-side",
    where="new",
    title="with three classes the Taylor radius may also fall short",
    printed=(
        r"K=3,\ V=(1,0,0),\ \mathbf z=(x,0,0):\ \|r^*\|<d \text{ at } x=\log\tfrac65,\quad \|r^*\|>d \text{ at } "
        r"x=\log8\qquad(\beta=\log3)"
    ),
    text=Text.NEW,
    hypotheses=("K = 3, β = log K",),
    depends=("lemma-4.1-hessian",),
    chapter=PAGE,
    derivation=Derivation(
        prove_both_sides, lambda: prove_both_sides(-1), "the two exchanged", Evidence.FINITE
    ),
    checks=(
        Check(
            "in float64: shorter than d at log 6/5",
            _either_side(math.log(1.2), 1),
            _either_side(math.log(8.0), 1),
            "at log 8, where it is longer",
        ),
    ),
)

CLAIMS = (CHAIN, SMOOTH, NETWORK, EITHER)
