"""Proposition 3.4: do the Jacobian and the cross-Lipschitz penalty have the same minimisers?

Section 3.2's statements come first, then what is true in their place for any number of classes (new),
then Appendix D, Eqs. (26) to (32).

Image i has features a_i, whose Jacobian is B_i. Where the last layer W alone is trained, the logits are
Wᵀa_i + c, the network's local linear map is V_i = B_i W, and two penalised losses are convex in W:

    J = E[L + λμ²]          the Jacobian loss, the paper's L'
    C = E[L + λ(K/2)ν²]     the cross-Lipschitz loss, the paper's L'' at K = 2; ν² over ordered pairs

Both penalties are tr(V M Vᵀ), with M = I in J and M = I − 11ᵀ/K in C.
"""

from __future__ import annotations

import functools

import sympy as sp

from regrob.claims.claim import Claim, Counterexample, Verdict, proof
from regrob.claims.class_sums import double_sum, plain_moments
from regrob.claims.hypotheses import BINARY, NO_BIASES
from regrob.claims.statements.lemma_4_1 import prove_psd
from regrob.errors import ProofError
from regrob.symbols import (
    SYMBOLIC,
    differentiate,
    for_every_size,
    prove_equal,
    prove_sign,
    prove_zero,
    sum_over,
)

statement = functools.partial(Claim, chapter="book/proposition_3_4")


theorem = functools.partial(statement, where="new")


LAST = "only the last layer W is trained, and it is linear"


UNCONSTRAINED = "the logits are Wᵀa(x) + c, with a last layer W that nothing else shares or constrains"


ORDERED = "ν² = Σ_{i,j}‖v_i − v_j‖²/K² over ordered pairs, half the paper's ν² at K = 2"

# --- Section 3.2: "strongly convex" ----------------------------------------------------


def prove_strong(modulus: int = 2) -> None:
    """Along any δ: J'' = ½ΣΣp_i p_j(t_i − t_j)² + 2λE‖Bδ‖² with t = δᵀa, a variance and a sum of squares. Any K.

    E‖Bδ‖² = tr δᵀGδ ≥ γ‖δ‖² for γ the least eigenvalue of G, one eigendirection at a time. So J is strongly convex
    with modulus 2λγ, if λ and γ are positive.
    """
    prove_psd()
    lam, d, least = sp.symbols("lam d gamma", positive=True)  # λ, one entry of Bδ, γ
    s, base, entry = sp.symbols("s base entry", real=True)
    prove_zero(sp.diff(lam * (base + s * d) ** 2, s, 2) - modulus * lam * d**2, because="the penalty's share")
    above = sp.Symbol("above", nonnegative=True)  # another eigenvalue of G, less γ
    prove_sign(sp.expand((least + above) * entry**2 - least * entry**2), "nonnegative")


def counterexample_dead() -> Counterexample:
    """g(x) = W ReLU(−x) and the one image x = 1: the loss is log 2 and V is 0 for every W."""
    plus, minus, x = sp.symbols("w_plus w_minus x", real=True)
    feature = sp.Max(0, -x)
    slope = sp.diff(feature, x).subs(x, 1)  # B
    log_loss = sp.log(1 + sp.exp(-(plus - minus) * feature.subs(x, 1)))
    objective = log_loss + slope**2 * (plus**2 + minus**2)  # λ' = 1
    if objective != sp.log(2):
        raise ProofError(f"the loss is not constant: {objective}")
    return Counterexample(
        r"g(x)=\max(0,-x)\,\mathbf w^T,\ (x,y)=(1,+1),\ \lambda'=1:\ \mathcal L'=\log2 \text{ for all } \mathbf w;\ w_+ \text{ at two minimisers}",
        sp.Integer(0),  # any two numbers would do
        "=",
        sp.Integer(1),
    )


STRONG = statement(
    id="remark-strong-convexity",
    where="Section 3.2, above Proposition 3.4; Appendix D, first paragraph",
    title="the Jacobian loss is strongly convex, so its minimiser is unique",
    printed=r"\mathcal L' \text{ is strongly convex for single-layer perceptrons and for piecewise linear DNNs in which only the final layer is optimised: its minimiser is unique}",
    corrected=r"\mathcal L' \text{ has modulus } 2\lambda'\gamma,\ \gamma \text{ the least eigenvalue of } G=E[B^TB]:\ \text{ strongly convex if } \lambda'>0 \text{ and } G\succ0 \text{ (in a perceptron } G=I)",
    hypotheses=(LAST, "λ' > 0", "G = E BᵀB ≻ 0, B the Jacobian of the features"),
    depends=("eq-27", "eq-28"),
    derivation=proof(prove_strong, wrong=4, mistake="twice the modulus"),
    counterexample=counterexample_dead,
    expected=Verdict.PARTLY,
)

# --- Section 3.2: Proposition 3.4 ------------------------------------------------------


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


def counterexample_3_4() -> Counterexample:
    """n = 1, (1, +) and (1, −): V = (1, 1) minimises E L + λν²/2, but not E L + λμ²."""
    a, b = sp.symbols("a b", real=True)
    lam = sp.Integer(1)
    mean = (sp.log(1 + sp.exp(b - a)) + sp.log(1 + sp.exp(a - b))) / 2
    cross = mean + lam * (a - b) ** 2 / 2
    ones = {a: sp.Integer(1), b: sp.Integer(1)}
    if any(sp.simplify(sp.diff(cross, v).subs(ones)) != 0 for v in (a, b)):  # C is convex
        raise ProofError("(1, 1) does not minimise the cross-Lipschitz loss")
    jacobian = mean + lam * (a**2 + b**2)
    return Counterexample(
        r"n=1,\ \text{data } (1,+1),(1,-1),\ \lambda=1:\ V=(1,1) \text{ minimises } E[\mathcal L+\lambda\nu^2/2];\ E[\mathcal L+\lambda\mu^2] \text{ at } (1,1) \text{ against } (0,0)",
        jacobian.subs(ones),
        "<=",
        jacobian.subs({a: 0, b: 0}),
    )


PROP_3_4 = statement(
    id="prop-3.4",
    where="Proposition 3.4, Eq. (13)",
    title="the two penalties have the same minimisers",
    printed=r"\forall\lambda\ge0:\ \operatorname{argmin}_{W_d}E[\mathcal L+\lambda\nu^2/2] = \operatorname{argmin}_{W_d}E[\mathcal L+\lambda\mu^2]",
    corrected=r"\text{for } \lambda>0:\ \operatorname{argmin}E[\mathcal L+\lambda\mu^2] = \operatorname{argmin}E[\mathcal L+\lambda\nu^2/2]\cap\{\mathbf v_++\mathbf v_-=0 \text{ at every sample}\},\ \text{with equal infima; for } \lambda=0 \text{ they are one problem}",
    hypotheses=(BINARY, LAST),
    depends=("eq-32", "remark-strong-convexity"),
    derivation=proof(prove_intersection, wrong=2, mistake="λν² in place of λν²/2"),
    counterexample=counterexample_3_4,
    expected=Verdict.FAILS,
)

# --- Section 3.2: the gradient flow ----------------------------------------------------


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


FLOW = statement(
    id="remark-gradient-flow",
    where="Section 3.2, below Proposition 3.4",
    title="one gradient flow from the Bayes classifier",
    printed=r"\text{from } \mathbf v_\pm=[0,\pm a,\dots,\pm a] \text{ the two regularisations share the gradient flow of } V \text{ on the data of [30]}",
    corrected=r"\text{from every start with } \mathbf v_++\mathbf v_-=0, \text{ on any data; on the data described the paper's start is a Bayes classifier for every } a>0",
    restated=True,
    hypotheses=(BINARY, "a single layer, V = W", "v₊ + v₋ = 0 at the start", "λν²/2 beside λμ²"),
    depends=("eq-28",),
    derivation=proof(prove_flow, wrong=1, mistake="equal weights on ν² and μ²"),
)

# --- any number of classes: the identity (new) -----------------------------------------


def prove_identity(half: int = 2) -> None:
    """½ΣΣ(v_i − v_j)² = KΣv_k² − (Σv_k)² in every coordinate, for every K at once."""
    K = sp.symbols("K", positive=True)
    v_i, v_j = sp.symbols("v_i v_j", real=True)
    moment = plain_moments(K)
    pairs = double_sum((v_i - v_j) ** 2 / half, moment, (v_i,), (v_j,))
    prove_zero(K * moment(2) - moment(1) ** 2 - pairs, because="Kμ² = ‖V1‖² + Σ_{i<j}‖v_i − v_j‖²")


IDENTITY = theorem(
    id="thm-equivalence-identity",
    title="the Jacobian penalty is the cross-Lipschitz penalty and the sum of the columns",
    printed=r"K\mu^2 = \|V\mathbf 1\|_2^2+\sum_{i<j}\|\mathbf v_i-\mathbf v_j\|_2^2,\quad\text{that is}\quad \mu^2 = \tfrac K2\nu^2+\tfrac1K\|V\mathbf 1\|_2^2",
    hypotheses=("any V and K", ORDERED),
    derivation=proof(prove_identity, wrong=1, mistake="every pair counted twice"),
)

# --- any number of classes: minimisers and stationary points (new) ---------------------


def prove_shift(change: int = 1) -> None:
    """A common u changes every logit alike: L and all pairs stay, ‖V1‖² goes through zero.

    General K: by line restriction, with the moments of p (Σp_k = 1) and of the columns.
    """
    for_every_size(SYMBOLIC)
    K, lam, u, t = sp.symbols("K lam u t", positive=True)
    v_i, v_j, z = sp.symbols("v_i v_j z", real=True)
    shifted = (v_i + u) - (v_j + change * u)
    prove_zero(shifted**2 - (v_i - v_j) ** 2, because="pairs do not see a common shift")
    Z = sp.symbols("Z", positive=True)  # Σ exp z_k; a shift t multiplies it by e^t
    prove_zero(sp.expand_log(sp.log(Z * sp.exp(t)), force=True) - (z + t) - (sp.log(Z) - z))
    S, G = sp.symbols("S G", real=True)  # Σ_k w_k and E BᵀB in one coordinate of an eigenbasis
    prove_zero(lam / K * G * (S + K * (-S / K)) ** 2, because="the centred columns add to zero")
    slope = sp.diff(lam / K * G * (S + K * t) ** 2, t).subs(t, 0)
    prove_zero(slope - 2 * lam * G * S, because="J's slope along a common shift u is 2λ uᵀGs")


MINIMISERS = theorem(
    id="thm-equivalence-minimisers",
    title="which minimisers the two penalties share",
    printed=r"\inf J_\lambda=\inf C_\lambda,\qquad \operatorname{argmin}J_\lambda = \operatorname{argmin}C_\lambda\cap\Big\{G\sum_j\mathbf w_j=0\Big\}\quad(\lambda>0)",
    hypotheses=(
        UNCONSTRAINED,
        "J = E[L + λμ²], C = E[L + λ(K/2)ν²]",
        ORDERED,
        "G = E BᵀB",
        "any trained layers, of the lower ones only weights with no image on a kink",
    ),
    depends=("thm-equivalence-identity",),
    derivation=proof(
        prove_shift, prove_identity, wrong=2, mistake="a shift that differs between the columns"
    ),
)


def prove_flat() -> None:
    """sᵀGs = E‖Bs‖² = 0 makes Bs = 0 at every sample, where ‖Bs‖² is flat in every parameter: ∇C = ∇J. Any K.

    Here s = Σ_k w_k; J − C = (λ/K)E‖Bs‖².
    """
    for_every_size("one entry of Bs after the other; K is in the factor λ/K alone")
    t = sp.Symbol("t", real=True)  # a parameter of any layer
    entry, lam_over_K = sp.Function("b")(t), sp.Symbol("c", positive=True)
    slope = sp.diff(lam_over_K * entry**2, t)
    prove_zero(slope.subs(sp.Derivative(entry, t), sp.Symbol("rate")).subs(entry, 0), because="flat at zero")
    prove_sign(sp.Symbol("b", real=True) ** 2, "nonnegative")  # so that no square in E‖Bs‖² hides another


STATIONARY = theorem(
    id="thm-equivalence-stationary",
    title="every stationary point of the Jacobian loss is one of the cross-Lipschitz loss",
    printed=r"\nabla J_\lambda=0 \implies G\sum_j\mathbf w_j=0 \text{ and } \nabla C_\lambda=0\qquad(\lambda>0)",
    hypotheses=(
        UNCONSTRAINED,
        ORDERED,
        "the gradients exist (no image on a kink)",
        "no convexity, any trained layers",
    ),
    depends=("thm-equivalence-minimisers",),
    derivation=proof(
        prove_shift, prove_identity, prove_flat, wrong=2, mistake="a shift that differs between the columns"
    ),
)

# --- any number of classes: training trajectories (new) --------------------------------


def prove_conserved(extra: int = 0) -> None:
    """Σ_k ∂L/∂z_k = 0 and Σ_k ∂/∂v_k Σ_{i<j}(v_i − v_j)² = 0; ∂(Σv)²/∂v_k is 0 at Σv = 0. Any K.

    Weight decay multiplies Σw; a step that adds multiples of gradients and of W keeps Σw = 0.
    """
    K = sp.symbols("K", integer=True, positive=True)
    k, i = sp.symbols("k i", integer=True, nonnegative=True)
    z = sp.IndexedBase("z", real=True)
    Z = sp.Sum(sp.exp(z[k]), (k, 0, K - 1))
    slope = differentiate(sp.log(Z), z[i], k)  # ∂/∂z_l of log Σ exp z_k
    prove_zero(slope * Z - sp.exp(z[i]), because="softmax")
    total = sp.Sum(sp.simplify(slope * Z), (i, 0, K - 1)).xreplace({i: k}) / Z
    prove_zero(total - 1, because="they add to one, and −z_y's to minus one")
    v_k = sp.symbols("v_k", real=True)
    moment = plain_moments(K)
    S1 = moment(1)
    pair_slope = 2 * (K * v_k - S1) + extra * v_k  # ∂/∂v_k of KΣv² − (Σv)²
    t, S2 = sp.symbols("t S2", real=True)
    energy = K * (S2 + 2 * t * v_k + t**2) - (S1 + t) ** 2  # v_k moved by t
    prove_zero(sp.diff(energy, t).subs(t, 0) + extra * v_k - pair_slope)
    prove_zero(sum_over(pair_slope, moment, v_k), because="the pairs' slopes add to zero")
    prove_zero(sp.diff((S1 + t) ** 2, t).subs(t, 0).subs(S1, 0), because="‖V1‖² is flat where V1 = 0")


def prove_centred(common: int = 1) -> None:
    """∇J − ∇C is the same in every column, so centring removes it; and C depends on WC alone. Any K.

    ∂(Σ_j v_j)²/∂v_k = 2Σ_j v_j for each k. So with the last layer alone trained, WC moves alike under both losses.
    """
    K, S1, t, v_k = sp.symbols("K S1 t v_k", positive=True)
    slope = sp.diff((S1 + common * t) ** 2, t).subs(t, 0)  # v_k moved by t
    prove_zero(slope - K * slope / K, because="less its mean over the columns")
    prove_equal(slope / K, 2 * S1 / K, because="the same in every column")
    u, v_j = sp.symbols("u v_j", real=True)
    prove_zero((v_k + u) - (v_j + u) - (v_k - v_j), because="a common shift leaves the pairs")


TRAJECTORIES = theorem(
    id="thm-equivalence-trajectories",
    title="from a zero-sum last layer both penalties train the same network",
    printed=r"\sum_j\mathbf w_j=0 \text{ at the start} \implies \theta^J_t=\theta^C_t \text{ for all } t \text{ (all layers, gradient descent and momentum)};\quad W^J_tC=W^C_tC \text{ from any start (last layer only)}",
    hypotheses=(
        UNCONSTRAINED,
        ORDERED,
        "each step adds to W scalar multiples of earlier gradients and of W (Adam does not, but for K = 2)",
    ),
    depends=("thm-equivalence-stationary",),
    derivation=proof(
        *(prove_conserved, prove_centred, prove_shift), wrong=1, mistake="a pull that does not add to zero"
    ),
)

# --- any number of classes: existence (new) --------------------------------------------


def prove_existence(sign: int = 1) -> None:
    """λ > 0: J is constant along ker G, and across it strictly convex and above a parabola. Any K.

    Along δ its curvature is ½ΣΣp_i p_j(t_i − t_j)² + 2λ tr δᵀGδ with t = δᵀa. On ker G, Bδ = 0 gives
    δᵀa = (Bδ)ᵀx = 0: neither loss nor penalty moves. Across it tr δᵀGδ ≥ γ‖δ‖² with γ > 0, so that J along a unit δ
    is at least J₀ + J₀'t + λγt², which goes to infinity: a minimiser exists there, and only one.
    """
    prove_psd(-sign)
    n, h, K = sp.symbols("n h K", integer=True, positive=True)
    B, delta, x = sp.MatrixSymbol("B", n, h), sp.MatrixSymbol("delta", h, K), sp.MatrixSymbol("x", n, 1)
    if (delta.T * (B.T * x)).doit() != ((B * delta).T * x).doit():
        raise ProofError("δᵀa is not (Bδ)ᵀx")
    lam, gamma = sp.symbols("lam gamma", positive=True)
    t, value, slope = sp.symbols("t value slope", real=True)
    parabola = value + slope * t + lam * gamma * t**2
    square = lam * gamma * (t + slope / (2 * lam * gamma)) ** 2
    prove_zero(parabola - square - (value - slope**2 / (4 * lam * gamma)), because="coercive")


def prove_separable() -> None:
    """λ = 0: a δ with yδᵀa ≥ 0 everywhere and > 0 somewhere lowers the loss for ever; without one, minimisers exist.

    log(1 + e^{−u}) falls strictly in u, so no point is a minimiser if there is such a δ. It is positive and above −u.
    Without one, each δ that moves any yδᵀa makes one of them negative; on the unit sphere of these δ the most
    negative one is at most −c < 0, as the sphere is compact. So the mean loss of N samples is at least (ct − const)/N.
    """
    for_every_size("this part is stated for K = 2, any n")
    u = sp.Symbol("u", real=True)
    loss = sp.log(1 + sp.exp(-u))
    prove_sign(-sp.diff(loss, u).rewrite(sp.exp), "positive")
    prove_zero(sp.expand((sp.exp(loss) * sp.exp(u)) - (1 + sp.exp(u))), because="loss + u = log(1 + eᵘ)")
    prove_sign(sp.exp(u), "positive")  # so that log(1 + eᵘ) and log(1 + e^{−u}) are positive


EXISTENCE = theorem(
    id="thm-equivalence-existence",
    title="when minimisers exist and when they are unique",
    printed=r"\lambda>0:\ \operatorname{argmin}J_\lambda\ne\emptyset, \text{ unique up to } \ker G;\qquad \lambda=0,\,K=2:\ \operatorname{argmin}\ne\emptyset \iff \text{no } \boldsymbol\delta \text{ has } y\,\boldsymbol\delta^T\mathbf a\ge0 \text{ everywhere and } >0 \text{ somewhere}",
    hypotheses=("only the last layer is trained", "no biases, so that a(x) = Bᵀx", "finitely many samples"),
    depends=("remark-strong-convexity", "thm-equivalence-minimisers"),
    derivation=proof(prove_existence, prove_separable, wrong=-1, mistake="sums of a pair for its difference"),
)

# --- Appendix D, Eqs. (26) and (27): the loss through one probability, one difference ---


def prove_26(total: int = 1) -> None:
    """(1 + y)/2 and (1 − y)/2 pick the label's term: both labels in turn, p₋ = 1 − p₊."""
    y, p = sp.symbols("y p", positive=True)
    right = (1 + y) / 2 * sp.log(p) + (1 - y) / 2 * sp.log(total - p)
    prove_equal(right.subs(y, 1), sp.log(p), because="y = +1")
    prove_equal(right.subs(y, -1), sp.log(1 - p), because="y = −1")


EQ_26 = statement(
    id="eq-26",
    where="Appendix D, Eq. (26)",
    title="the loss through the probability of one class",
    printed=r"-E[\log p_y] = -E\left[\tfrac{1+y}2\log p_{+1} + \tfrac{1-y}2\log(1-p_{+1})\right],\quad y=\pm1",
    hypotheses=(BINARY,),
    derivation=proof(prove_26, wrong=2, mistake="2 − p for 1 − p"),
)


def prove_27(sign: int = 1) -> None:
    """e^a/(e^a + e^b) = e^{a−b}/(e^{a−b} + 1); h(s) = E log(1 + e^{−y sᵀx}) has E p₊p₋(xᵀr)² ≥ 0."""
    a, b, t = sp.symbols("a b t", real=True)
    odds = sp.exp(a - sign * b)
    prove_equal(sp.exp(a) / (sp.exp(a) + sp.exp(b)), odds / (odds + 1), because="p₊ depends on a − b")
    bend = sp.diff(sp.log(1 + sp.exp(-t)), t, 2)
    prove_sign(bend.rewrite(sp.exp), "positive", certificate=sp.exp(t) / (1 + sp.exp(t)) ** 2)


EQ_27 = statement(
    id="eq-27",
    where="Appendix D, Eq. (27)",
    title="the loss depends on the columns' difference, and is convex in it",
    printed=r"p_{+1} = \frac{e^{\langle\mathbf v_+-\mathbf v_-,\mathbf x\rangle}}{e^{\langle\mathbf v_+-\mathbf v_-,\mathbf x\rangle}+1},\qquad -E[\log p_y] = h(\mathbf v_+-\mathbf v_-),\ h \text{ convex}",
    hypotheses=(BINARY, NO_BIASES),
    depends=("eq-5", "eq-26"),
    derivation=proof(prove_27, wrong=-1, mistake="the sum for the difference"),
)

# --- Appendix D, Eqs. (28) and (29) ----------------------------------------------------


def prove_28(half: int = 2) -> None:
    """2(a² + b²) = (a − b)² + (a + b)² in every coordinate: λμ² = ½λν² + ½λ‖v₊ + v₋‖²."""
    a, b, lam = sp.symbols("a b lam", real=True)
    prove_zero(lam * (a**2 + b**2) - lam * (a - b) ** 2 / half - lam * (a + b) ** 2 / half)


EQ_28 = statement(
    id="eq-28",
    where="Appendix D, Eq. (28)",
    title="the Jacobian loss is the cross-Lipschitz loss and one more square",
    printed=r"\mathcal L'(V) = h(\mathbf v_+-\mathbf v_-)+\tfrac12\lambda'\nu^2+\tfrac12\lambda'\|\mathbf v_++\mathbf v_-\|_2^2,\quad 2\mu^2 = \nu^2+\|\mathbf v_++\mathbf v_-\|_2^2",
    hypotheses=(BINARY, NO_BIASES),
    depends=("eq-27",),
    derivation=proof(prove_28, wrong=1, mistake="no halves"),
)


def prove_29(sign: int = 1) -> None:
    """(a, b) ↦ ((a − b)/2, (b − a)/2) keeps a − b; (28) then falls by exactly λ(a + b)²/2 ≥ 0."""
    a, b = sp.symbols("a b", real=True)
    lam = sp.symbols("lam", positive=True)
    h = sp.Function("h")

    def loss(a: sp.Expr, b: sp.Expr) -> sp.Expr:
        return h(sp.expand(a - b)) + lam * (a - b) ** 2 / 2 + lam * (a + b) ** 2 / 2

    centred = (a - b) / 2
    prove_zero(loss(centred, -sign * centred) - loss(a, b) + lam * (a + b) ** 2 / 2)
    prove_sign(lam * (a + b) ** 2 / 2, "nonnegative")


EQ_29 = statement(
    id="eq-29",
    where="Appendix D, Eq. (29)",
    title="centring the columns never raises the Jacobian loss",
    printed=r"\mathcal L'(\hat V')-\mathcal L'(V') = \tfrac12\lambda'\|\hat{\mathbf v}'_++\hat{\mathbf v}'_-\|^2-\tfrac12\lambda'\|\mathbf v'_++\mathbf v'_-\|^2 \le -\tfrac12\lambda'\|\mathbf v'_++\mathbf v'_-\|^2 \le 0",
    corrected=r"\text{the first “}\le\text{” is an equality; } \hat{\mathbf v}'_+ = (\mathbf v'_+-\mathbf v'_-)/2 \text{ with its primes. At a minimiser with } \lambda'>0 \text{ it leads to } \mathbf v'_++\mathbf v'_-=0",
    restated=True,
    transcription=True,
    hypotheses=(BINARY, "λ' ≥ 0", "any V; a minimiser in the last sentence"),
    depends=("eq-28",),
    derivation=proof(prove_29, wrong=-1, mistake="two equal columns"),
)

# --- Appendix D, Eqs. (30), (31), (32): at the minimisers ------------------------------


def prove_agree(part: int = 2) -> None:
    """Where b = −a, λ(a² + b²) = λ(a − b)²/2, coordinate by coordinate."""
    a, lam = sp.symbols("a lam", real=True)
    b = -a
    prove_zero(lam * (a**2 + b**2) - lam * (a - b) ** 2 / part)


EQ_30 = statement(
    id="eq-30",
    where="Appendix D, Eq. (30)",
    title="both losses agree at the Jacobian loss's minimiser",
    printed=r"\mathcal L'(V') = \mathcal L''(V') \text{ for } \lambda''=\lambda'/2",
    hypotheses=(BINARY, LAST, "λ' > 0"),
    depends=("eq-28", "eq-29"),
    derivation=proof(prove_agree, wrong=1, mistake="λ'' = λ'"),
)


def prove_l_strong(modulus: int = 2) -> None:
    """l(s) = h(s) + λ''‖s‖²: h is convex, and the second derivative of λ''‖s‖² along a unit δ is 2λ''. Any n."""
    u = sp.Symbol("u", real=True)
    bend = sp.diff(sp.log(1 + sp.exp(-u)), u, 2)
    prove_sign(bend.rewrite(sp.exp), "positive", certificate=sp.exp(u) / (1 + sp.exp(u)) ** 2)
    lam, t = sp.symbols("lam t", positive=True)
    base, delta = sp.symbols("base delta", real=True)  # one coordinate of s and of δ
    second = sp.diff(lam * (base + t * delta) ** 2, t, 2)
    prove_zero(second - modulus * lam * delta**2, because="the penalty's share")


L_STRONG = statement(
    id="remark-l-strongly-convex",
    where="Appendix D, below Eq. (30)",
    title="the cross-Lipschitz loss is strongly convex in the columns' difference",
    printed=r"l(\cdot):\mathbb R^n\to\mathbb R \text{ is strongly convex as well}",
    corrected=r"l(\mathbf s) = h(\mathbf s)+\lambda''\|\mathbf s\|_2^2 \text{ is strongly convex with modulus } 2\lambda'' \text{ if } \lambda''>0; \text{ for } \lambda''=0 \text{ it is convex, and flat across the samples}",
    hypotheses=(BINARY, "a single-layer perceptron, V = W", "λ'' > 0"),
    depends=("eq-27",),
    derivation=proof(prove_l_strong, wrong=4, mistake="twice the modulus"),
)


def counterexample_31() -> Counterexample:
    """V = (1, 0) and (0, 1) have one sum and two losses, so no l of the sum exists."""
    lam = sp.Rational(1, 2)

    def loss(a: int, b: int) -> sp.Expr:
        return sp.log(1 + sp.exp(-sp.Integer(a - b))) + lam * (a - b) ** 2

    return Counterexample(
        r"n=1,\ (x,y)=(1,+1),\ \lambda''=\tfrac12:\ \mathcal L''(1,0) \text{ against } \mathcal L''(0,1), \text{ equal if } \mathcal L'' \text{ were a function of } v_++v_-",
        loss(1, 0),
        "=",
        loss(0, 1),
    )


EQ_31 = statement(
    id="eq-31",
    where="Appendix D, Eq. (31) and the sentence before it",
    title="both losses agree at the symmetric cross-Lipschitz minimiser",
    printed=r"\mathcal L''(V) = l(\mathbf v_++\mathbf v_-),\ \mathbf w''=\operatorname{argmin} l,\ \mathbf v''_+=\mathbf w''/2,\ \mathbf v''_-=-\hat{\mathbf v}''_+:\quad \mathcal L'(V'')=\mathcal L''(V'')",
    corrected=r"\mathcal L''(V) = l(\mathbf v_+-\mathbf v_-) \text{ and } \mathbf v''_-=-\mathbf v''_+; \text{ then } \mathcal L'(V'')=\mathcal L''(V'')",
    transcription=True,
    hypotheses=(BINARY, LAST, "λ'' = λ'/2 > 0"),
    depends=("eq-28",),
    derivation=EQ_30.derivation,
    counterexample=counterexample_31,
)


def prove_32(slip: int = 0) -> None:
    """Both “≥” of (32) are “=”: their slacks add to zero, and neither is negative.

    J = C + square. V' has square 0, by (29), and V'' by its choice, (31). The slacks are C(V') − C(V'') ≥ 0, as V''
    minimises C, and J(V'') − J(V') ≥ 0, as V' minimises J. So V' minimises C too, and V'' minimises J.
    """
    C1, C2 = sp.symbols("C1 C2", real=True)  # C at V' and at V''
    square1, square2 = sp.symbols("square1 square2", nonnegative=True)
    J1, J2 = C1 + square1, C2 + square2
    slacks = (C1 - C2) + (J2 - J1)
    prove_zero(slacks - (square2 - square1), because="the sum of the slacks")
    prove_zero(slacks.subs({square1: 0, square2: slip}), because="both squares are zero")


EQ_32 = statement(
    id="eq-32",
    where="Appendix D, Eq. (32)",
    title="the two least losses are equal",
    printed=r"\mathcal L'(V')=\mathcal L''(V')\ge\mathcal L''(V'')=\mathcal L'(V'')\ge\mathcal L'(V')",
    corrected=r"\min\mathcal L'=\min\mathcal L'',\ V'\in\operatorname{argmin}\mathcal L'',\ V''\in\operatorname{argmin}\mathcal L';\ \text{ it says nothing of the other minimisers of } \mathcal L''",
    restated=True,
    hypotheses=(BINARY, LAST, "λ'' = λ'/2 > 0", "minimisers exist"),
    depends=("eq-30", "eq-31"),
    derivation=proof(prove_32, prove_28, prove_29, prove_agree, wrong=1, mistake="(31) off by one"),
)

CLAIMS = (STRONG, PROP_3_4, FLOW, IDENTITY, MINIMISERS, STATIONARY, TRAJECTORIES, EXISTENCE)
"""Section 3.2's statements, then the new theorem for any number of classes."""

APPENDIX = (EQ_26, EQ_27, EQ_28, EQ_29, EQ_30, L_STRONG, EQ_31, EQ_32)
"""Appendix D, in the paper's order."""
