"""Proposition 3.4: do the Jacobian and the cross-Lipschitz penalty have the same minimisers?

Section 3.2's statements come first, then what is true in their place for any number of classes (new),
then Appendix D, Eqs. (26) to (32).

Most checks train a last layer alone, many small problems at once. The layers below it are frozen:
image i has features a_i, and B_i is their Jacobian, so that the logits are Wᵀa_i + c and the network's
local linear map is V_i = B_i W. Both penalised losses are then convex in W, and Newton's method minimises
them:

    J = E[L + λμ²]          the Jacobian loss, the paper's L'
    C = E[L + λ(K/2)ν²]     the cross-Lipschitz loss, the paper's L'' at K = 2; ν² over ordered pairs

Both penalties are tr(V M Vᵀ), with M = I in J and M = I − 11ᵀ/K in C.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import NamedTuple

import sympy as sp
import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob import networks
from regrob.affine.local_map import local_map
from regrob.claims.claim import Claim, Counterexample, Verdict
from regrob.claims.class_sums import double_sum, plain_moments
from regrob.claims.combinators import check, checked, on_networks, proof
from regrob.claims.comparisons import relative
from regrob.claims.hypotheses import BINARY, NO_BIASES
from regrob.claims.instances import Draw, Excess, Sample, signed
from regrob.claims.statements.lemma_4_1 import prove_psd
from regrob.claims.statements.locally_affine import bias_free
from regrob.errors import ProofError, UnsuitableNetworkError
from regrob.symbols import differentiate, prove_equal, prove_sign, prove_zero, sum_over
from regrob.theory import derivatives, penalties, probability

statement = functools.partial(Claim, chapter="book/proposition_3_4")
theorem = functools.partial(statement, where="new")
LAST = "only the last layer W is trained, and it is linear"
UNCONSTRAINED = "the logits are Wᵀa(x) + c, with a last layer W that nothing else shares or constrains"
ORDERED = "ν² = Σ_{i,j}‖v_i − v_j‖²/K² over ordered pairs, half the paper's ν² at K = 2"

# --- last layers: random problems and their minimisers ---------------------------------


class Problem(NamedTuple):
    """T training problems of N images each, h features, K classes; everything float64.

    Attributes:
        a: (T, N, h), the features.
        B: (T, N, n, h), their Jacobian; a_i = B_iᵀx_i without biases.
        y: (T, N), labels.
        c: (T, 1, K), biases of the last layer, held fixed.
        weight: (T,), λ.
    """

    a: Tensor
    B: Tensor
    y: Tensor
    c: Tensor
    weight: Tensor

    @property
    def gram(self) -> Tensor:
        """G = E BᵀB: (T, h, h)."""
        return (self.B.mT @ self.B).mean(dim=1)

    def logits(self, W: Tensor) -> Tensor:
        """At W (T, h, K): (T, N, K)."""
        return self.a @ W + self.c

    def loss(self, W: Tensor) -> Tensor:
        """Mean cross-entropy: (T,)."""
        return functional.cross_entropy(self.logits(W).mT, self.y, reduction="none").mean(dim=1)

    def penalty(self, W: Tensor, penalty: penalties.Penalty) -> Tensor:
        """The mean over the images of a penalty of V = BW: (T,)."""
        return penalty(self.B @ W.unsqueeze(1), self.logits(W), self.y).mean(dim=1)

    def jacobian(self, W: Tensor) -> Tensor:
        """J: (T,)."""
        return self.loss(W) + self.weight * self.penalty(W, penalties.jacobian_penalty)

    def cross_lipschitz(self, W: Tensor, factor: float = 1.0) -> Tensor:
        """C, with ν² times `factor`: (T,)."""
        scale = factor * W.shape[-1] / 2 * self.weight
        return self.loss(W) + scale * self.penalty(W, penalties.cross_lipschitz_penalty)

    def column_sum(self, W: Tensor) -> Tensor:
        """E‖V1‖², how far the columns of V are from adding to zero: (T,)."""
        return (self.B @ W.sum(dim=-1)[:, None, :, None]).square().sum(dim=(2, 3)).mean(dim=1)


def random_problems(draw: Draw, classes: int, *, images: int = 12) -> Problem:
    """Problems without biases and with three features, the last of them dead in one of four: G is singular."""
    generator = torch.Generator().manual_seed(draw.seed)
    T, n, units = min(max(8, draw.trials // 10), 2000), 4, 3

    def normal(*shape: int) -> Tensor:
        return torch.randn(T, *shape, generator=generator, dtype=torch.float64)

    active = torch.rand(T, images, 1, units, generator=generator) < 0.7
    B = normal(images, n, units) * active
    B[::4, ..., -1] = 0.0
    a = (B.mT @ normal(images, n, 1)).squeeze(-1)
    y = torch.randint(classes, (T, images), generator=generator)
    weight = 0.03 * torch.exp(3.0 * torch.rand(T, generator=generator, dtype=torch.float64))
    c = torch.zeros(T, 1, classes, dtype=torch.float64)
    return Problem(*(part.to(draw.device) for part in (a, B, y, c, weight)))


def random_weights(draw: Draw, problem: Problem) -> Tensor:
    """W whose columns are far from adding to zero: (T, h, K)."""
    return draw.normal(*problem.gram.shape[:2], problem.c.shape[-1], stream=1) + 0.5


def centre(W: Tensor) -> Tensor:
    """W less its columns' mean."""
    return W - W.mean(dim=-1, keepdim=True)


def identity(classes: int) -> Tensor:
    """M = I, the metric of J: (K, K)."""
    return torch.eye(classes, dtype=torch.float64)


def centring(classes: int) -> Tensor:
    """M = I − 11ᵀ/K, the metric of C: (K, K)."""
    return identity(classes) - 1.0 / classes


def gradient(problem: Problem, W: Tensor, metric: Tensor) -> Tensor:
    """∂/∂W of E[L + λ tr(V M Vᵀ)]: (T, h, K)."""
    labels = functional.one_hot(problem.y, W.shape[-1])
    residual = torch.softmax(problem.logits(W), dim=-1) - labels
    slope = problem.a.mT @ residual / problem.y.shape[1]
    return slope + 2 * problem.weight[:, None, None] * problem.gram @ W @ metric


def minimise(problem: Problem, W: Tensor, metric: Tensor) -> Tensor:
    """A minimiser of E[L + λ tr(V M Vᵀ)] by Newton's method with shortened steps from W: (T, h, K).

    Directions that the objective does not see (ker G, and in C a vector added to every
    column) are left as they are at the start.

    Raises:
        ProofError: the gradient did not vanish, so that nothing was minimised.
    """
    T, h, K = W.shape
    values, vectors = torch.linalg.eigh(problem.gram)
    dead = values < 1e-9 * values[:, -1:]
    kernel = (vectors * dead.unsqueeze(1)) @ vectors.mT
    unseen = torch.einsum("tab,kl->takbl", kernel, torch.eye(K).to(W)) + torch.einsum(
        "ab,kl->akbl", torch.eye(h).to(W), torch.eye(K).to(W) - metric
    )
    fixed = 2 * torch.einsum("t,tab,kl->takbl", problem.weight, problem.gram, metric) + unseen

    for _ in range(60):
        g = gradient(problem, W, metric)
        if float(g.abs().amax()) < 1e-13:
            break
        p = torch.softmax(problem.logits(W), dim=-1)
        spread = (torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)) / p.shape[1]
        H = torch.einsum("tia,tib,tikl->takbl", problem.a, problem.a, spread) + fixed
        step = torch.linalg.solve(H.reshape(T, h * K, h * K), g.reshape(T, h * K)).reshape(T, h, K)
        trials = torch.stack([W - share * step for share in (1.0, 0.5, 0.2, 0.05, 0.01, 0.0)])
        # By the gradient's size, not by the loss: rounding hides the last eight digits of the loss.
        slopes = torch.stack([gradient(problem, trial, metric).norm(dim=(1, 2)) for trial in trials])
        W = trials[slopes.argmin(dim=0), torch.arange(T, device=W.device)]
    remaining = gradient(problem, W, metric).abs().amax()
    if not float(remaining) < 1e-9:
        raise ProofError(f"Newton's method left a gradient of {float(remaining):.1e}")
    return W


def random_minimiser(
    draw: Draw, metric: Callable[[int], Tensor], *, classes: int = 2
) -> tuple[Problem, Tensor]:
    """Random problems, and a minimiser of their J (`identity`) or C (`centring`)."""
    problem = random_problems(draw, classes)
    return problem, minimise(problem, random_weights(draw, problem), metric(classes))


# --- last layers of real networks ------------------------------------------------------


def split(network: nn.Module) -> tuple[nn.Sequential, nn.Linear]:
    """All layers but the last, and the last one; they share their weights with the network.

    Raises:
        UnsuitableNetworkError: the network does not end in a linear layer.
    """
    if not isinstance(network, nn.Sequential) or not isinstance(network[-1], nn.Linear):
        raise UnsuitableNetworkError("the network does not end in a linear layer")
    return nn.Sequential(*list(network)[:-1]), network[-1]


def last_layer_problem(sample: Sample) -> Problem:
    """The last layer of a real network on the sample's own images, λ = 0.1; T = 1."""
    body, final = split(sample.network)
    B, a = local_map(body, sample.images)
    c = torch.zeros(final.out_features) if final.bias is None else final.bias.detach()
    return Problem(a[None], B[None], sample.y[None], c.to(a).view(1, 1, -1), torch.full((1,), 0.1).to(a))


def with_last_layer(sample: Sample, W: Tensor) -> nn.Sequential:
    """The sample's network with other weights (h, K) in its last layer."""
    body, final = split(sample.network)
    replaced = nn.Linear(W.shape[0], W.shape[1], bias=final.bias is not None).to(W)
    replaced.weight.data.copy_(W.T)
    if final.bias is not None:
        replaced.bias.data.copy_(final.bias.data)
    return nn.Sequential(*body, replaced)


def on_last_layers(excess: Excess, classes: int = 2) -> Excess:
    """The excess over every sample network whose penalty sees all features that the loss sees.

    Where ker G hides a feature that the loss sees (a unit held up by its bias alone), a
    minimiser need not exist; such a network is passed over.
    """

    def over_last_layers(draw: Draw, *choice: object) -> Tensor:
        values = []
        for sample in draw.samples(classes):
            problem = last_layer_problem(sample)
            sizes, vectors = torch.linalg.eigh(problem.gram[0])
            hidden = problem.a[0] @ vectors[:, sizes < 1e-9 * sizes[-1]]
            if not bool((hidden.abs() > 1e-9).any()):
                values.append(excess(sample, problem, *choice).flatten())
        return torch.cat(values)

    return over_last_layers


# --- Section 3.2: "strongly convex" ----------------------------------------------------


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


@checked("midpoints of random problems lie below by the modulus", wrong=2.0, mistake="twice the modulus")
def midpoint_excess(draw: Draw, share: float = 1.0) -> Tensor:
    """Second differences of J between random W's against `share` of 2λ·(least eigenvalue of G)‖δ‖²."""
    problem = random_problems(draw, 2, images=24)
    W, other = random_weights(draw, problem), random_weights(Draw(draw.trials, draw.seed + 7), problem)
    middle = problem.jacobian((W + other) / 2)
    gap = (problem.jacobian(W) + problem.jacobian(other)) / 2 - middle
    least: Tensor = torch.linalg.eigvalsh(problem.gram)[:, 0].clamp_min(0.0)
    required = problem.weight * least * (W - other).square().sum(dim=(1, 2)) / 4
    return (share * required - gap) / middle


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
    checks=(midpoint_excess,),
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


def slope_at_C(draw: Draw, centred: bool = True, *, classes: int = 2) -> Tensor:
    """The largest entry of J's gradient at a minimiser of C, its columns centred or not: (T,)."""
    problem, W = random_minimiser(draw, centring, classes=classes)
    return gradient(problem, centre(W) if centred else W, identity(classes)).abs().amax(dim=(1, 2))


@checked(
    "a minimiser of J has zero-sum columns at every sample",
    wrong=centring,
    mistake="a minimiser of C",
    tolerance=1e-7,
)
def column_sum_at(draw: Draw, metric: Callable[[int], Tensor] = identity) -> Tensor:
    """The root mean square of ‖V1‖ over the images, at a minimiser of J or of C."""
    problem, W = random_minimiser(draw, metric)
    return problem.column_sum(W).sqrt()


@checked(
    "last layers of trained networks: the least J is the least C",
    wrong=centring,
    mistake="J at a minimiser of C",
)
@on_last_layers
def networks_gap(sample: Sample, problem: Problem, metric: Callable[[int], Tensor] = identity) -> Tensor:
    """J of a network with a minimiser in its last layer, by `local_map`, against the least C."""
    W = minimise(problem, random_weights(Draw(1, 3), problem), metric(2))
    V, z = local_map(with_last_layer(sample, W[0]), sample.images)
    penalty = penalties.jacobian_penalty(V, z, sample.y)
    J = (probability.loss(z, sample.y) + problem.weight * penalty).mean()
    least = problem.cross_lipschitz(minimise(problem, random_weights(Draw(1, 4), problem), centring(2)))
    return (J - least).abs() / least


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
    checks=(
        check(
            "a minimiser of C, centred, minimises J",
            slope_at_C,
            wrong=False,
            mistake="not centred: Eq. (13) as printed",
            tolerance=1e-8,
        ),
        column_sum_at,
        networks_gap,
    ),
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


def flow_gap(draw: Draw, factor: float = 1.0, *, shift: float = 0.0) -> Tensor:
    """How far gradient descent under C parts from that under J, from the paper's start on its data.

    `factor` multiplies λ in C; `shift` is added to both columns at the start.
    """
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
    first, second = V, V
    gap = torch.zeros(T, dtype=torch.float64)
    for _ in range(40):
        first = first - 0.1 * gradient(problem, first, identity(2))
        second = second - 0.1 * gradient(problem, second, factor * centring(2))
        gap = torch.maximum(gap, (first - second).norm(dim=(1, 2)) / V.norm(dim=(1, 2)))
    return gap


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
    checks=(
        check(
            "forty steps of gradient descent from the paper's start",
            flow_gap,
            wrong=2.0,
            mistake="equal weights on ν² and μ²",
        ),
        check(
            "and the start matters",
            lambda draw, shift=0.0: flow_gap(draw, shift=shift),
            wrong=0.05,
            mistake="both columns shifted a little",
        ),
    ),
)

# --- any number of classes: the identity (new) -----------------------------------------


def prove_identity(half: int = 2) -> None:
    """½ΣΣ(v_i − v_j)² = KΣv_k² − (Σv_k)² in every coordinate, for every K at once."""
    K = sp.symbols("K", positive=True)
    v_i, v_j = sp.symbols("v_i v_j", real=True)
    moment = plain_moments(K)
    pairs = double_sum((v_i - v_j) ** 2 / half, moment, (v_i,), (v_j,))
    prove_zero(K * moment(2) - moment(1) ** 2 - pairs, because="Kμ² = ‖V1‖² + Σ_{i<j}‖v_i − v_j‖²")


def identity_error(sample: Sample, factor: float = 1.0) -> Tensor:
    """μ² from autograd's Jacobian against (K/2)ν² + ‖V1‖²/K, ν² times `factor`."""
    V = sample.autograd.jacobian
    classes = V.shape[-1]
    total = V.sum(dim=-1).square().sum(dim=-1)
    nu2 = penalties.cross_lipschitz_penalty(sample.map.V, sample.map.z, sample.y)
    mu2 = V.square().sum(dim=(1, 2))
    return (mu2 - factor * classes / 2 * nu2 - total / classes).abs() / mu2


IDENTITY = theorem(
    id="thm-equivalence-identity",
    title="the Jacobian penalty is the cross-Lipschitz penalty and the sum of the columns",
    printed=r"K\mu^2 = \|V\mathbf 1\|_2^2+\sum_{i<j}\|\mathbf v_i-\mathbf v_j\|_2^2,\quad\text{that is}\quad \mu^2 = \tfrac K2\nu^2+\tfrac1K\|V\mathbf 1\|_2^2",
    hypotheses=("any V and K", ORDERED),
    derivation=proof(prove_identity, wrong=1, mistake="every pair counted twice"),
    checks=tuple(
        check(
            f"networks with K = {K}, autograd's Jacobian",
            on_networks(identity_error, K),
            wrong=2.0,
            mistake="twice ν²",
        )
        for K in (2, 3, 5)
    ),
)

# --- any number of classes: minimisers and stationary points (new) ---------------------


def prove_shift(change: int = 1) -> None:
    """A common u changes every logit alike: L and all pairs stay, ‖V1‖² goes through zero.

    General K: by line restriction, with the moments of p (Σp_k = 1) and of the columns.
    """
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


def gap_of_minima(draw: Draw, factor: float = 1.0, *, classes: int = 2, start: float = -2.0) -> Tensor:
    """The least J, found from W, against the least C with λ times `factor`, found from `start` times W."""
    problem = random_problems(draw, classes)
    W = random_weights(draw, problem)
    least = problem.jacobian(minimise(problem, W, identity(classes)))
    other = problem._replace(weight=factor * problem.weight)
    return (other.cross_lipschitz(minimise(other, start * W, centring(classes))) - least).abs() / least


MINIMISERS = theorem(
    id="thm-equivalence-minimisers",
    title="which minimisers the two penalties share",
    printed=r"\inf J_\lambda=\inf C_\lambda,\qquad \operatorname{argmin}J_\lambda = \operatorname{argmin}C_\lambda\cap\Big\{G\sum_j\mathbf w_j=0\Big\}\quad(\lambda>0)",
    hypotheses=(
        UNCONSTRAINED,
        "J = E[L + λμ²], C = E[L + λ(K/2)ν²]",
        ORDERED,
        "G = E BᵀB",
        "any trained layers",
    ),
    depends=("thm-equivalence-identity",),
    derivation=proof(prove_shift, wrong=2, mistake="a shift that differs between the columns"),
    checks=(
        check(
            "K = 4: a minimiser of C, centred, minimises J",
            lambda draw, centred=True: slope_at_C(draw, centred, classes=4),
            wrong=False,
            mistake="not centred",
            tolerance=1e-8,
        ),
        check(
            "K = 3: the least values",
            lambda draw, factor=1.0: gap_of_minima(draw, factor, classes=3, start=-1.0),
            wrong=1.5,
            mistake="λKν²·3/4",
        ),
    ),
)


def both_losses(network: nn.Module, images: Tensor, y: Tensor, weight: float = 0.1) -> tuple[Tensor, Tensor]:
    """J and C of a real network, λ = `weight`, with the graph back to its weights."""
    V, z = local_map(network, images, create_graph=True, check=False)
    loss = functional.cross_entropy(z, y)
    jacobian = penalties.jacobian_penalty(V, z, y).mean()
    cross_lipschitz = penalties.cross_lipschitz_penalty(V, z, y).mean()
    return loss + weight * jacobian, loss + weight * z.shape[-1] / 2 * cross_lipschitz


def weight_gradient_gap(sample: Sample, _: Problem, zero_sum: bool = True) -> Tensor:
    """Gradients of J and of C in all layers' weights, with the last layer's columns centred or not."""
    W = split(sample.network)[1].weight.detach().T
    network = with_last_layer(sample, centre(W) if zero_sum else W)
    gradients = []
    with torch.enable_grad():
        for loss in both_losses(network, sample.images, sample.y):
            parts = torch.autograd.grad(
                loss, list(network.parameters()), retain_graph=True, materialize_grads=True
            )
            gradients.append(torch.cat([part.flatten() for part in parts]))
    J, C = gradients
    return relative(J - C, C, axes=1)


def common_shift_error(sample: Sample, problem: Problem, factor: float = 1.0) -> Tensor:
    """Autograd's Σ_k ∂J/∂w_k on a real network against 2λGΣ_j w_j."""
    W = split(sample.network)[1].weight.detach().T
    network = with_last_layer(sample, W)
    with torch.enable_grad():
        J, _ = both_losses(network, sample.images, sample.y)
        (slope,) = torch.autograd.grad(J, split(network)[1].weight)
    formula = factor * 0.2 * problem.gram[0] @ W.sum(dim=-1)
    return relative(slope.sum(dim=0) - formula, formula, axes=1)


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
    derivation=proof(prove_shift, wrong=2, mistake="a shift that differs between the columns"),
    checks=(
        check(
            "Σ_k ∂J/∂w_k = 2λGΣ_j w_j by autograd on networks",
            on_last_layers(common_shift_error, 3),
            wrong=0.5,
            mistake="half of it",
        ),
        check(
            "zero-sum columns: the gradients agree in all layers",
            on_last_layers(weight_gradient_gap, 3),
            wrong=False,
            mistake="columns that do not add to zero",
        ),
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


OptimiserFactory = Callable[[list[Tensor]], torch.optim.Optimizer]
DESCENT = functools.partial(torch.optim.SGD, lr=0.03, weight_decay=1e-3)
MOMENTUM = functools.partial(torch.optim.SGD, lr=0.03, momentum=0.9, weight_decay=1e-3)
ADAM = functools.partial(torch.optim.Adam, lr=3e-3)


def both_trainings(
    network: nn.Module,
    images: Tensor,
    y: Tensor,
    optimiser: OptimiserFactory,
    *,
    steps: int,
    weight: float = 0.1,
    last_layer_only: bool = False,
) -> Tensor:
    """Train copies of one network under J and under C: all trained weights after each step, (2, steps, M)."""
    paths = []
    for objective in range(2):  # J, C
        trained = copy.deepcopy(network)
        every: list[Tensor] = list(trained.parameters())
        parameters = [split(trained)[1].weight] if last_layer_only else every
        stepper = optimiser(parameters)
        path = []
        for _ in range(steps):
            stepper.zero_grad()
            with torch.enable_grad():
                both_losses(trained, images, y, weight)[objective].backward()
            stepper.step()
            path.append(torch.cat([part.detach().flatten() for part in parameters]))
        paths.append(torch.stack(path))
    return torch.stack(paths)


@functools.lru_cache(maxsize=32)
def training_gap(classes: int, optimiser: OptimiserFactory, zero_sum: bool, seed: int) -> Tensor:
    """Train all layers of a ReLU network under J and under C: ‖θ_J − θ_C‖/‖θ_C‖ after each step, (12,)."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(24, 6, generator=generator, dtype=torch.float64)
    y = torch.randint(classes, (24,), generator=generator)
    drawn = torch.Generator().manual_seed(seed + 1)
    network = networks.mlp((6, 10, 8, classes), generator=drawn).double()
    with torch.no_grad():
        W = split(network)[1].weight
        W += 0.1  # Caffe's draws, and far from adding to zero
        if zero_sum:
            W -= W.mean(dim=0)
    J, C = both_trainings(network, images, y, optimiser, steps=12)
    return relative(J - C, C, axes=1)


def momentum_descent(draw: Draw, problem: Problem, metric: Tensor) -> Tensor:
    """Forty steps of gradient descent with momentum on the last layer, from a random start."""
    W = random_weights(draw, problem)
    velocity = torch.zeros_like(W)
    for _ in range(40):
        velocity = 0.8 * velocity + 0.02 * gradient(problem, W, metric)
        W = W - velocity
    return W


@checked(
    "last layer only, any start: the centred weights", wrong=lambda W: W, mistake="the weights themselves"
)
def last_layer_gap(draw: Draw, view: Callable[[Tensor], Tensor] = centre) -> Tensor:
    """The same descent under J and under C, compared through `view` of the weights."""
    problem = random_problems(draw, 4)
    first, second = (view(momentum_descent(draw, problem, metric(4))) for metric in (identity, centring))
    return relative(first - second, second, axes=2)


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
    derivation=proof(prove_conserved, wrong=1, mistake="a pull that does not add to zero"),
    checks=(
        check(
            "K = 2: all layers, gradient descent",
            lambda draw, zero_sum=True: training_gap(2, DESCENT, zero_sum, draw.seed % 4),
            wrong=False,
            mistake="a start that is not zero-sum",
        ),
        check(
            "K = 4: all layers, momentum",
            lambda draw, zero_sum=True: training_gap(4, MOMENTUM, zero_sum, draw.seed % 4),
            wrong=False,
            mistake="a start that is not zero-sum",
        ),
        check(
            "Adam at K = 2",
            lambda draw, classes=2: training_gap(classes, ADAM, True, draw.seed % 4),
            wrong=4,
            mistake="Adam at K = 4",
            tolerance=1e-8,
        ),
        last_layer_gap,
    ),
)

# --- any number of classes: existence (new) --------------------------------------------


def prove_existence(sign: int = 1) -> None:
    """J is convex, and its curvature along δ is at least 2λ tr δᵀGδ: coercive but for ker G. Any K.

    The loss's share is ½ΣΣp_i p_j (t_i − t_j)², t = δᵀa. On ker G, Bδ = 0 gives δᵀa = δᵀBᵀx = 0:
    neither the loss nor the penalty moves. At λ = 0, K = 2, the loss along tδ with y δᵀa ≥ 0
    falls for ever.
    """
    prove_psd(-sign)
    t, margin = sp.symbols("t margin", positive=True)
    falling = -sp.diff(sp.log(1 + sp.exp(-t * margin)), t)
    prove_sign(falling.rewrite(sp.exp), "positive")


@checked(
    "λ > 0: two starts, one minimiser, as far as the images see",
    wrong=lambda problem, W: W,
    mistake="the weights themselves, where a unit is dead",
    tolerance=1e-8,
)
def two_starts_gap(
    draw: Draw, view: Callable[[Problem, Tensor], Tensor] = lambda problem, W: problem.B @ W.unsqueeze(1)
) -> Tensor:
    """J's minimisers from two starts, compared through `view` of the weights."""
    problem = random_problems(draw, 3)
    W = random_weights(draw, problem)
    first, second = (view(problem, minimise(problem, start * W, identity(3))) for start in (1.0, -2.0))
    size = first.flatten(1).abs().amax(dim=1).clamp_min(1e-3)
    return (first - second).flatten(1).abs().amax(dim=1) / size


@checked(
    "λ = 0: the loss rises far out where nothing separates the labels",
    wrong=False,
    mistake="separable labels: it falls for ever",
)
def unpenalised_fall(draw: Draw, mirrored: bool = True) -> Tensor:
    """λ = 0 at K = 2: what the loss E L still falls by from W to 10W.

    Every feature comes with both labels (`mirrored`: then nothing separates them), or all
    labels follow one δ, along which W lies.
    """
    problem = Problem(*(part[1::4] for part in random_problems(draw, 2)))  # one in four, with no dead feature
    delta = random_weights(draw, problem)[..., :1]
    a, y = problem.a, ((problem.a @ delta).squeeze(-1) < 0).long()
    if mirrored:
        a, y = torch.cat([a, a], dim=1), torch.cat([y, 1 - y], dim=1)
    problem = problem._replace(a=a, y=y)
    W = torch.cat([delta, -delta], dim=-1)
    return problem.loss(W) - problem.loss(10 * W)


EXISTENCE = theorem(
    id="thm-equivalence-existence",
    title="when minimisers exist and when they are unique",
    printed=r"\lambda>0:\ \operatorname{argmin}J_\lambda\ne\emptyset, \text{ unique up to } \ker G;\qquad \lambda=0,\,K=2:\ \operatorname{argmin}\ne\emptyset \iff \text{no } \boldsymbol\delta \text{ has } y\,\boldsymbol\delta^T\mathbf a\ge0 \text{ everywhere and } >0 \text{ somewhere}",
    hypotheses=("only the last layer is trained", "no biases, so that a(x) = Bᵀx", "finitely many samples"),
    depends=("remark-strong-convexity", "thm-equivalence-minimisers"),
    derivation=proof(prove_existence, wrong=-1, mistake="sums of a pair for its difference"),
    checks=(two_starts_gap, unpenalised_fall),
)

# --- Appendix D, Eqs. (26) and (27): the loss through one probability, one difference ---


def prove_26(total: int = 1) -> None:
    """(1 + y)/2 and (1 − y)/2 pick the label's term: both labels in turn, p₋ = 1 − p₊."""
    y, p = sp.symbols("y p", positive=True)
    right = (1 + y) / 2 * sp.log(p) + (1 - y) / 2 * sp.log(total - p)
    prove_equal(right.subs(y, 1), sp.log(p), because="y = +1")
    prove_equal(right.subs(y, -1), sp.log(1 - p), because="y = −1")


def mean_loss_error(sample: Sample, formula: Tensor) -> Tensor:
    """A formula's mean loss over a network's images against that of autograd's own cross-entropy."""
    loss = sample.autograd.loss.mean()
    return (formula - loss).abs() / loss


@checked("the mean loss of networks", wrong=-1, mistake="the labels exchanged", tolerance=1e-9)
@on_networks
def eq_26_error(sample: Sample, swap: int = 1) -> Tensor:
    """The mean loss by Eq. (26), its labels times `swap`."""
    p, y = torch.softmax(sample.map.z, dim=-1), swap * signed(sample.y)
    return mean_loss_error(sample, -((1 + y) / 2 * p[:, 0].log() + (1 - y) / 2 * p[:, 1].log()).mean())


EQ_26 = statement(
    id="eq-26",
    where="Appendix D, Eq. (26)",
    title="the loss through the probability of one class",
    printed=r"-E[\log p_y] = -E\left[\tfrac{1+y}2\log p_{+1} + \tfrac{1-y}2\log(1-p_{+1})\right],\quad y=\pm1",
    hypotheses=(BINARY,),
    derivation=proof(prove_26, wrong=2, mistake="2 − p for 1 − p"),
    checks=(eq_26_error,),
)


def prove_27(sign: int = 1) -> None:
    """e^a/(e^a + e^b) = e^{a−b}/(e^{a−b} + 1); h(s) = E log(1 + e^{−y sᵀx}) has E p₊p₋(xᵀr)² ≥ 0."""
    a, b, t = sp.symbols("a b t", real=True)
    odds = sp.exp(a - sign * b)
    prove_equal(sp.exp(a) / (sp.exp(a) + sp.exp(b)), odds / (odds + 1), because="p₊ depends on a − b")
    bend = sp.diff(sp.log(1 + sp.exp(-t)), t, 2)
    prove_sign(bend.rewrite(sp.exp), "positive", certificate=sp.exp(t) / (1 + sp.exp(t)) ** 2)


@checked(
    "the loss of a network without biases, from autograd's Jacobian alone",
    wrong=lambda sample: not bias_free(sample),
    mistake="networks with biases",
    tolerance=1e-9,
)
def eq_27_error(draw: Draw, only: Callable[[Sample], bool] = bias_free) -> Tensor:
    """The mean loss by Eq. (27), h(v₊ − v₋), on the networks that `only` admits."""

    def error(sample: Sample) -> Tensor:
        V = sample.autograd.jacobian
        margin = signed(sample.y) * ((V[..., 0] - V[..., 1]) * sample.images.flatten(1)).sum(dim=1)
        return mean_loss_error(sample, functional.softplus(-margin).mean())

    return draw.over_samples(error, 2, only=only)


EQ_27 = statement(
    id="eq-27",
    where="Appendix D, Eq. (27)",
    title="the loss depends on the columns' difference, and is convex in it",
    printed=r"p_{+1} = \frac{e^{\langle\mathbf v_+-\mathbf v_-,\mathbf x\rangle}}{e^{\langle\mathbf v_+-\mathbf v_-,\mathbf x\rangle}+1},\qquad -E[\log p_y] = h(\mathbf v_+-\mathbf v_-),\ h \text{ convex}",
    hypotheses=(BINARY, NO_BIASES),
    depends=("eq-5", "eq-26"),
    derivation=proof(prove_27, wrong=-1, mistake="the sum for the difference"),
    checks=(eq_27_error,),
)

# --- Appendix D, Eqs. (28) and (29) ----------------------------------------------------


def prove_28(half: int = 2) -> None:
    """2(a² + b²) = (a − b)² + (a + b)² in every coordinate: λμ² = ½λν² + ½λ‖v₊ + v₋‖²."""
    a, b, lam = sp.symbols("a b lam", real=True)
    prove_zero(lam * (a**2 + b**2) - lam * (a - b) ** 2 / half - lam * (a + b) ** 2 / half)


@checked("μ² of networks against autograd's two columns", wrong=1.0, mistake="no halves")
@on_networks
def eq_28_error(sample: Sample, half: float = 2.0) -> Tensor:
    """μ² against (ν² + ‖v₊ + v₋‖²)/half from autograd's two columns."""
    V = sample.autograd.jacobian
    nu, total = V[..., 0] - V[..., 1], V[..., 0] + V[..., 1]
    right = (nu.square().sum(dim=-1) + total.square().sum(dim=-1)) / half
    return (right - derivatives.lipschitz_squared(sample.map.V)).abs() / right


EQ_28 = statement(
    id="eq-28",
    where="Appendix D, Eq. (28)",
    title="the Jacobian loss is the cross-Lipschitz loss and one more square",
    printed=r"\mathcal L'(V) = h(\mathbf v_+-\mathbf v_-)+\tfrac12\lambda'\nu^2+\tfrac12\lambda'\|\mathbf v_++\mathbf v_-\|_2^2,\quad 2\mu^2 = \nu^2+\|\mathbf v_++\mathbf v_-\|_2^2",
    hypotheses=(BINARY,),
    depends=("eq-27",),
    derivation=proof(prove_28, wrong=1, mistake="no halves"),
    checks=(eq_28_error,),
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


@checked(
    "the fall of the loss on random problems",
    wrong=lambda W: W - W.sum(dim=-1, keepdim=True),
    mistake="the columns' sum taken away, not their mean",
)
def fall_error(draw: Draw, move: Callable[[Tensor], Tensor] = centre) -> Tensor:
    """The fall of J from W to `move(W)` against ½λE‖v₊ + v₋‖²."""
    problem = random_problems(draw, 2)
    W = random_weights(draw, problem)
    before = problem.jacobian(W)
    fall = before - problem.jacobian(move(W))
    return (fall - 0.5 * problem.weight * problem.column_sum(W)).abs() / before


EQ_29 = statement(
    id="eq-29",
    where="Appendix D, Eq. (29)",
    title="centring the columns never raises the Jacobian loss",
    printed=r"\mathcal L'(\hat V')-\mathcal L'(V') = \tfrac12\lambda'\|\hat{\mathbf v}'_++\hat{\mathbf v}'_-\|^2-\tfrac12\lambda'\|\mathbf v'_++\mathbf v'_-\|^2 \le -\tfrac12\lambda'\|\mathbf v'_++\mathbf v'_-\|^2 \le 0",
    corrected=r"\text{the first “}\le\text{” is an equality; } \hat{\mathbf v}'_+ = (\mathbf v'_+-\mathbf v'_-)/2 \text{ with its primes. For } \lambda'>0 \text{ it leads to } \mathbf v'_++\mathbf v'_-=0",
    restated=True,
    transcription=True,
    hypotheses=(BINARY, "any V, minimiser or not"),
    depends=("eq-28",),
    derivation=proof(prove_29, wrong=-1, mistake="two equal columns"),
    checks=(fall_error,),
)

# --- Appendix D, Eqs. (30), (31), (32): at the minimisers ------------------------------


def prove_agree(part: int = 2) -> None:
    """Where b = −a, λ(a² + b²) = λ(a − b)²/2, coordinate by coordinate."""
    a, lam = sp.symbols("a lam", real=True)
    b = -a
    prove_zero(lam * (a**2 + b**2) - lam * (a - b) ** 2 / part)


def gap_of_losses(problem: Problem, W: Tensor, factor: float = 1.0) -> Tensor:
    """J(W) against C(W), ν² times `factor`."""
    J = problem.jacobian(W)
    return (J - problem.cross_lipschitz(W, factor)).abs() / J


@checked("Newton's minimisers of J", wrong=2.0, mistake="λ'' = λ'")
def gap_at_J(draw: Draw, factor: float = 1.0) -> Tensor:
    """J against C, ν² times `factor`, at a minimiser of J."""
    return gap_of_losses(*random_minimiser(draw, identity), factor)


EQ_30 = statement(
    id="eq-30",
    where="Appendix D, Eq. (30)",
    title="both losses agree at the Jacobian loss's minimiser",
    printed=r"\mathcal L'(V') = \mathcal L''(V') \text{ for } \lambda''=\lambda'/2",
    hypotheses=(BINARY, LAST, "λ' > 0"),
    depends=("eq-28", "eq-29"),
    derivation=proof(prove_agree, wrong=1, mistake="λ'' = λ'"),
    checks=(gap_at_J,),
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


@checked("Newton's minimisers of C, made symmetric", wrong=False, mistake="minimisers that are not symmetric")
def gap_at_C(draw: Draw, centred: bool = True) -> Tensor:
    """J against C at a minimiser of C, its columns centred or not."""
    problem, W = random_minimiser(draw, centring)
    return gap_of_losses(problem, centre(W) if centred else W)


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
    checks=(gap_at_C,),
    counterexample=counterexample_31,
    expected=Verdict.PARTLY,
)


def prove_32(slip: int = 0) -> None:
    """J' = C', C' − C'' = s ≥ 0 and J'' = C'' give J'' − J' = −s, which is ≥ 0 too: so s = 0."""
    J1, s = sp.symbols("J1 s", real=True)  # the Jacobian loss at V', the first slack
    C2 = J1 - s  # by (30), and as V'' minimises L''
    J2 = C2 + slip  # (31)
    prove_zero(J2 - J1 + s, because="two slacks, both at least zero, add to zero")


EQ_32 = statement(
    id="eq-32",
    where="Appendix D, Eq. (32)",
    title="the two least losses are equal",
    printed=r"\mathcal L'(V')=\mathcal L''(V')\ge\mathcal L''(V'')=\mathcal L'(V'')\ge\mathcal L'(V')",
    corrected=r"\min\mathcal L'=\min\mathcal L'',\ V'\in\operatorname{argmin}\mathcal L'',\ V''\in\operatorname{argmin}\mathcal L';\ \text{ it says nothing of the other minimisers of } \mathcal L''",
    restated=True,
    hypotheses=(BINARY, LAST, "λ'' = λ'/2 > 0", "minimisers exist"),
    depends=("eq-30", "eq-31"),
    derivation=proof(prove_32, wrong=1, mistake="(31) off by one"),
    checks=(
        check("the least values, by Newton's method on each", gap_of_minima, wrong=2.0, mistake="λ'' = λ'"),
    ),
)

CLAIMS = (STRONG, PROP_3_4, FLOW, IDENTITY, MINIMISERS, STATIONARY, TRAJECTORIES, EXISTENCE)
"""Section 3.2's statements, then the new theorem for any number of classes."""

APPENDIX = (EQ_26, EQ_27, EQ_28, EQ_29, EQ_30, EQ_31, EQ_32)
"""Appendix D, in the paper's order."""
