"""Proposition 3.4: the Jacobian and the cross-Lipschitz penalty, and what was said of their equivalence."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor

from regrob.affine.local_map import local_map
from regrob.claims.claim import Check, Claim, Counterexample, Derivation, Text, Verdict
from regrob.claims.instances import Draw, Sample
from regrob.claims.last_layer import (
    Problem,
    centre,
    draw_problems,
    gradient,
    metrics,
    minimise,
    of_network,
    over_sequential,
    start,
    with_last_layer,
)
from regrob.errors import ProofError
from regrob.symbols import prove_equal, prove_sign, prove_zero
from regrob.theory import penalties
from regrob.theory.probability import loss

PAGE = "book/proposition_3_4"
LAST = "only the last layer W is trained, and it is linear"
BINARY = "K = 2"

# --- "strongly convex" -----------------------------------------------------------------


def prove_strong(modulus: int = 2) -> None:
    """Along any δ: J'' = E Σp_k t_k² − E(Σp_k t_k)² + 2λ E‖Bδ‖², a variance and a sum of squares.

    t = δᵀa. The variance is ½ΣΣ p_i p_j (t_i − t_j)²; E‖Bδ‖² = tr δᵀGδ ≥ γ‖δ‖² for γ the least
    eigenvalue of G. So J is strongly convex with modulus 2λγ, if λ and γ are positive.
    """
    p, t, lam, d = sp.symbols("p t lam d", positive=True)  # p₊, t₊ − t₋, λ, one entry of Bδ
    variance = p * t**2 - (p * t) ** 2
    rest = sp.symbols("rest", positive=True)  # 1 − p
    prove_zero(variance - (p * rest * t**2).subs(rest, 1 - p))
    prove_sign(p * rest * t**2, "nonnegative")
    s, base = sp.symbols("s base", real=True)
    prove_zero(sp.diff(lam * (base + s * d) ** 2, s, 2) - modulus * lam * d**2, because="the penalty's share")


def _bend_excess(share: float) -> Callable[[Draw], Tensor]:
    """Second differences of J between random W's against 2λ·(least eigenvalue of G)‖δ‖²."""

    def excess(draw: Draw) -> Tensor:
        problem = draw_problems(draw, 2, images=24)
        W, other = start(draw, problem), start(Draw(draw.trials, draw.seed + 7), problem)
        middle = problem.jacobian((W + other) / 2)
        gap = (problem.jacobian(W) + problem.jacobian(other)) / 2 - middle
        least = torch.linalg.eigvalsh(problem.gram)[:, 0].clamp_min(0.0)
        wanted = problem.weight * least * (W - other).square().sum(dim=(1, 2)) / 4
        short: Tensor = (share * wanted - gap) / middle
        return short

    return excess


def counterexample_dead() -> Counterexample:
    """g(x) = W ReLU(−x) and the one image x = 1: the loss is log 2 and V is 0 for every W."""
    plus, minus, x = sp.symbols("w_plus w_minus x", real=True)
    feature = sp.Max(0, -x)
    slope = sp.diff(feature, x).subs(x, 1)  # B
    loss_here = sp.log(1 + sp.exp(-(plus - minus) * feature.subs(x, 1)))
    objective = loss_here + slope**2 * (plus**2 + minus**2)  # λ' = 1
    if objective != sp.log(2):
        raise ProofError(f"the loss is not constant: {objective}")
    minimisers = [sp.Integer(0), sp.Integer(1)]  # of w₊; any two numbers would do
    return Counterexample(
        r"g(x)=\max(0,-x)\,\mathbf w^T,\ (x,y)=(1,+1),\ \lambda'=1:\ \mathcal L'=\log2 \text{ for all } "
        r"\mathbf w;\ w_+ \text{ at two minimisers}",
        minimisers[0],
        "=",
        minimisers[1],
    )


STRONG = Claim(
    id="remark-strong-convexity",
    where="Section 3.2, above Proposition 3.4; Appendix D, first paragraph",
    title="the Jacobian loss is strongly convex, so its minimiser is unique",
    printed=(
        r"\mathcal L' \text{ is strongly convex for single-layer perceptrons and for piecewise linear DNNs "
        r"in which only the final layer is optimised: its minimiser is unique}"
    ),
    corrected=(
        r"\mathcal L' \text{ has modulus } 2\lambda'\gamma,\ \gamma \text{ the least eigenvalue of } "
        r"G=E[B^TB]:\ \text{ strongly convex if } \lambda'>0 \text{ and } G\succ0 \text{ (in a perceptron } G=I)"
    ),
    text=Text.CORRECTED,
    hypotheses=(LAST, "λ' > 0", "G = E BᵀB ≻ 0, B the Jacobian of the features"),
    depends=("eq-27", "eq-28"),
    chapter=PAGE,
    derivation=Derivation(prove_strong, lambda: prove_strong(4), "twice the modulus"),
    checks=(
        Check(
            "midpoints of random problems lie below by the modulus",
            _bend_excess(1.0),
            _bend_excess(2.0),
            "twice the modulus",
        ),
    ),
    counterexample=counterexample_dead,
    partly=True,
    expected=Verdict.PARTLY,
)

# --- Proposition 3.4 -------------------------------------------------------------------


def prove_intersection(weight: int = 1) -> None:
    """J = C + ½λ‖v₊ + v₋‖², a square that centring removes and C does not see.

    So inf J = inf C, and V minimises J if and only if it minimises C and the square is zero.
    """
    a, b, u = sp.symbols("a b u", real=True)
    lam = sp.symbols("lam", positive=True)

    def jacobian(a: sp.Expr, b: sp.Expr) -> sp.Expr:
        return lam * (a**2 + b**2)

    def cross(a: sp.Expr, b: sp.Expr) -> sp.Expr:
        return lam * weight * (a - b) ** 2 / 2

    square = lam * (a + b) ** 2 / 2
    prove_zero(jacobian(a, b) - cross(a, b) - square)
    prove_sign(square, "nonnegative")
    prove_zero(cross(a + u, b + u) - cross(a, b), because="C does not see a common shift")
    centred = (a - b) / 2, (b - a) / 2
    prove_zero(jacobian(*centred) - cross(a, b), because="J at the centred columns is C")


def _minimiser_excess(move: Callable[[Problem, Tensor], Tensor]) -> Callable[[Draw], Tensor]:
    """From any minimiser of C: is `move` of it stationary for J, which is convex?"""

    def excess(draw: Draw) -> Tensor:
        problem = draw_problems(draw, 2)
        identity, centring = metrics(2)
        W = move(problem, minimise(problem, start(draw, problem), centring))
        return gradient(problem, W, identity).abs().amax(dim=(1, 2))

    return excess


def _zero_sum_excess(which: int) -> Callable[[Draw], Tensor]:
    """‖Σ_k Bw_k‖ at J's (0) and at C's (1) minimisers, found from starts that are not zero-sum."""

    def excess(draw: Draw) -> Tensor:
        problem = draw_problems(draw, 2)
        W = minimise(problem, start(draw, problem), metrics(2)[which])
        return problem.total(W).sqrt()

    return excess


def _network_excess(which: int) -> Callable[[Draw], Tensor]:
    """Trained last layers of real networks: J measured by local_map against the least C."""

    def one(s: Sample) -> Tensor:
        problem, (identity, centring) = of_network(s), metrics(2)
        W = minimise(problem, start(Draw(1, 3), problem), (identity, centring)[which])
        V, z = local_map(with_last_layer(s, W[0]), s.images)
        J = (loss(z, s.y) + problem.weight * penalties.jacobian_penalty(V, z, s.y)).mean()
        least = problem.cross_lipschitz(minimise(problem, start(Draw(1, 4), problem), centring))
        off: Tensor = (J - least).abs() / least
        return off

    return lambda draw: over_sequential(draw, 2, one)


def counterexample_3_4() -> Counterexample:
    """n = 1, (1, +) and (1, −): V = (1, 1) minimises E L + λν²/2, but not E L + λμ²."""
    a, b = sp.symbols("a b", real=True)
    lam = sp.Integer(1)
    mean = (sp.log(1 + sp.exp(b - a)) + sp.log(1 + sp.exp(a - b))) / 2
    cross = mean + lam * (a - b) ** 2 / 2
    here = {a: sp.Integer(1), b: sp.Integer(1)}
    if any(sp.simplify(sp.diff(cross, v).subs(here)) != 0 for v in (a, b)):  # C is convex
        raise ProofError("(1, 1) does not minimise the cross-Lipschitz loss")
    jacobian = mean + lam * (a**2 + b**2)
    return Counterexample(
        r"n=1,\ \text{data } (1,+1),(1,-1),\ \lambda=1:\ V=(1,1) \text{ minimises } E[\mathcal L+\lambda\nu^2/2];"
        r"\ E[\mathcal L+\lambda\mu^2] \text{ at } (1,1) \text{ against } (0,0)",
        jacobian.subs(here),
        "<=",
        jacobian.subs({a: 0, b: 0}),
    )


PROP_3_4 = Claim(
    id="prop-3.4",
    where="Proposition 3.4, Eq. (13)",
    title="the two penalties have the same minimisers",
    printed=(
        r"\forall\lambda\ge0:\ \operatorname{argmin}_{W_d}E[\mathcal L+\lambda\nu^2/2] = "
        r"\operatorname{argmin}_{W_d}E[\mathcal L+\lambda\mu^2]"
    ),
    corrected=(
        r"\text{for } \lambda>0:\ \operatorname{argmin}E[\mathcal L+\lambda\mu^2] = \operatorname{argmin}"
        r"E[\mathcal L+\lambda\nu^2/2]\cap\{\mathbf v_++\mathbf v_-=0 \text{ at every sample}\},\ "
        r"\text{with equal infima; for } \lambda=0 \text{ they are one problem}"
    ),
    text=Text.CORRECTED,
    hypotheses=(BINARY, LAST),
    depends=("eq-32", "remark-strong-convexity"),
    chapter=PAGE,
    derivation=Derivation(prove_intersection, lambda: prove_intersection(2), "λν² in place of λν²/2"),
    checks=(
        Check(
            "a minimiser of C, centred, minimises J",
            _minimiser_excess(lambda problem, W: centre(W)),
            _minimiser_excess(lambda problem, W: W),
            "not centred: Eq. (13) as printed",
            tolerance=1e-8,
        ),
        Check(
            "a minimiser of J has zero-sum columns at every sample",
            _zero_sum_excess(0),
            _zero_sum_excess(1),
            "a minimiser of C",
            tolerance=1e-7,
        ),
        Check(
            "last layers of trained networks: the least J is the least C",
            _network_excess(0),
            _network_excess(1),
            "J at a minimiser of C",
        ),
    ),
    counterexample=counterexample_3_4,
    expected=Verdict.FAILS,
)

# --- the gradient flow -----------------------------------------------------------------


def prove_flow(scale: int = 2) -> None:
    """At v₋ = −v₊ both penalties pull equally, and every pull keeps v₊ + v₋ where it is.

    The Bayes rule: features N(ηy, σ²) given y make the log-odds (2η/σ²)Σx_i, so [0, ±a, …, ±a]
    has its sign for every a > 0.
    """
    a, b, t, lam = sp.symbols("a b t lam", real=True)
    jacobian, cross = lam * (a**2 + b**2), lam * (a - b) ** 2 / scale
    mean = sp.log(1 + sp.exp(-t * (a - b)))
    for v in (a, b):
        prove_zero(sp.diff(jacobian - cross, v).subs(b, -a), because="equal pulls on the zero-sum set")
    prove_zero(sp.diff(mean + cross, a) + sp.diff(mean + cross, b), because="v₊ + v₋ is conserved")
    x, eta, sigma, scale_a = sp.symbols("x eta sigma a", positive=True)
    odds = ((x + eta) ** 2 - (x - eta) ** 2) / (2 * sigma**2)
    prove_equal(odds, 2 * eta * x / sigma**2, because="log-odds of one feature")
    prove_sign(odds / (2 * scale_a * x), "positive")


def _flow_excess(factor: float, shift: float) -> Callable[[Draw], Tensor]:
    """Gradient descent on the paper's data from its start, under both penalties: V against V."""

    def excess(draw: Draw) -> Tensor:
        generator = torch.Generator().manual_seed(draw.seed)
        T, points, n = min(max(8, draw.trials // 10), 1000), 40, 6
        y = torch.randint(2, (T, points), generator=generator)
        x = torch.randn(T, points, n, generator=generator, dtype=torch.float64)
        x[..., 1:] += 0.7 * (1.0 - 2.0 * y)[..., None]  # weakly correlated with the label
        x[..., 0] = x[..., 0].sign()  # not at all
        size = 3.0 * torch.rand(T, 1, generator=generator, dtype=torch.float64) + 0.1
        V = torch.stack([size, -size], dim=-1).repeat(1, n, 1) + shift
        V[:, 0] = 0.0
        B = torch.eye(n, dtype=torch.float64).expand(T, points, n, n)
        c = torch.zeros(T, 1, 2, dtype=torch.float64)
        problem = Problem(x, B, y, c, torch.full((T,), 0.3, dtype=torch.float64))
        identity, centring = metrics(2)
        first, second = V, V
        worst = torch.zeros(T, dtype=torch.float64)
        for _ in range(40):
            first = first - 0.1 * gradient(problem, first, identity)
            second = second - 0.1 * gradient(problem, second, factor * centring)
            off = (first - second).norm(dim=(1, 2)) / V.norm(dim=(1, 2))
            worst = torch.maximum(worst, off)
        return worst

    return excess


FLOW = Claim(
    id="remark-gradient-flow",
    where="Section 3.2, below Proposition 3.4",
    title="one gradient flow from the Bayes classifier",
    printed=(
        r"\text{from } \mathbf v_\pm=[0,\pm a,\dots,\pm a] \text{ the two regularisations share the gradient "
        r"flow of } V \text{ on the data of [30]}"
    ),
    corrected=(
        r"\text{from every start with } \mathbf v_++\mathbf v_-=0, \text{ on any data; on the data described "
        r"the paper's start is a Bayes classifier for every } a>0"
    ),
    text=Text.RESTATED,
    hypotheses=(BINARY, "a single layer, V = W", "v₊ + v₋ = 0 at the start", "λν²/2 beside λμ²"),
    depends=("eq-28",),
    chapter=PAGE,
    derivation=Derivation(prove_flow, lambda: prove_flow(1), "equal weights on ν² and μ²"),
    checks=(
        Check(
            "forty steps of gradient descent from the paper's start",
            _flow_excess(1.0, 0.0),
            _flow_excess(2.0, 0.0),
            "equal weights on ν² and μ²",
        ),
        Check(
            "and the start matters",
            _flow_excess(1.0, 0.0),
            _flow_excess(1.0, 0.05),
            "both columns shifted a little",
        ),
    ),
)

CLAIMS = (STRONG, PROP_3_4, FLOW)
"""Strong convexity, Proposition 3.4 and the gradient flow, in the paper's order."""
