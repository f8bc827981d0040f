"""The exact radius with any number of classes: the secular equation, its hard case, its derivative, and ℓ_∞."""

from __future__ import annotations

from functools import partial

import sympy as sp
import torch
from torch import Tensor

from regrob.claims.claim import Claim
from regrob.claims.class_sums import weighted_moments
from regrob.claims.combinators import check, check_both, check_networks, check_random, proof
from regrob.claims.comparisons import ratio_error, violation, worst
from regrob.claims.hypotheses import MODEL, OFF_KINKS
from regrob.claims.instances import Draw, Instance, closed_form, length
from regrob.claims.quadratic_model import corner_radius, reach_along, within
from regrob.claims.samplings import MISTAKES_TOO, TWO_CLASSES, Sampling
from regrob.symbols import differentiate, prove_sign, prove_zero, sum_over
from regrob.theory import derivatives, probability, taylor_radius
from regrob.theory import exact_radius as exact

statement = partial(Claim, chapter="book/exact_radius")
theorem = partial(statement, where="new")
ANY = "any label with L < β; any β"


def radius(case: Instance) -> Tensor:
    """‖r*‖₂: (T,)."""
    return exact.exact_radius_l2(case.V, case.z, case.y)


def step(case: Instance) -> Tensor:
    """r*: (T, n)."""
    return exact.exact_perturbation_l2(case.V, case.z, case.y)


# --- the secular equation --------------------------------------------------------------


def prove_square(rest: int = 1) -> None:
    """∇ = Aw and ‖w‖² = q/p_y with w_k = √p_k (k ≠ y), w_y = −q/√p_y: for every K."""
    q, v_y, p_j, v_j = sp.symbols("q v_y p_j v_j")
    p_y, rivals = 1 - q, weighted_moments(q)
    mean = p_y * v_y + rivals(1, 1)  # v̄, one coordinate of it
    product = sum_over(p_j * (v_j - mean), rivals, p_j, v_j) - rest * q * (v_y - mean)
    prove_zero(product - (mean - v_y), because="∇ = Aw")
    prove_zero(q + (q / sp.sqrt(p_y)) ** 2 - q / p_y, because="‖w‖² = q/p_y")


def prove_certificate(at: sp.Expr, theta: sp.Expr, because: str) -> None:
    """½r² − θ(gain of r) + const = ½(1 − θλ)(r − at)², one eigendirection: no r of the same gain is shorter."""
    g, r = sp.symbols("g r", real=True)
    size, left = sp.symbols("lambda left", positive=True)
    lagrangian = r**2 / 2 - theta * (g * r + size * r**2 / 2)
    square = left / 2 * ((r - at) ** 2 - at**2)
    prove_zero(lagrangian - square.subs(left, 1 - theta * size), because=because)


def prove_secular(sign: int = -1) -> None:
    """One eigendirection at a time: the gain, its growth, and the certificate of the minimum."""
    g = sp.symbols("g", real=True)
    size, theta, left = sp.symbols("lambda theta left", positive=True)  # left = 1 − θλ > 0
    at = theta * g / (1 + sign * theta * size)  # r*_i
    secular = g**2 / (2 * size) * ((1 - theta * size) ** -2 - 1)
    prove_zero(g * at + size * at**2 / 2 - secular, because="the gain of r*")
    growth = sp.diff(secular, theta)
    prove_zero(growth - (g**2 / left**3).subs(left, 1 - theta * size), because="its growth")
    prove_sign(g**2 / left**3, "nonnegative")
    prove_certificate(at, theta, "the certificate")


def prove_scaled() -> None:
    """θ = κ/((1+κ)λ₁), λ = μλ₁, g² = λw²: the gain is w²h(h+2)/2, h = κμ/(1 + κ(1−μ))."""
    size, w, kappa, mu = sp.symbols("lambda_1 w kappa mu", positive=True)
    theta, own = kappa / ((1 + kappa) * size), mu * size
    secular = w**2 / 2 * ((1 - theta * own) ** -2 - 1)
    h = kappa * mu / (1 + kappa * (1 - mu))
    prove_zero(sp.together(secular - w**2 * h * (h + 2) / 2), because="the equation in κ")


def prove_exact_radius(sign: int = -1) -> None:
    """Completing the square, the secular equation, and its form without cancellation."""
    prove_square()
    prove_secular(sign)
    prove_scaled()


def certificate(case: Instance, r: Tensor, xi: Tensor | None = None) -> Tensor:
    """How far r is from satisfying the conditions that make it a global minimiser: (T,).

    The gain is ξ (log K − L if None); r = θ(∇ + Hr); and I − θH ⪰ 0. Only ∇ and H enter,
    not how r was computed.
    """
    xi = case.xi if xi is None else xi
    slope = case.model_gradient(r)
    theta = length(r) / length(slope)
    stationary = length(r - theta.unsqueeze(-1) * slope) / length(r)
    return worst(stationary, ratio_error(case.gain(r), xi), theta * case.curvature - 1)


def any_label_excess(case: Instance, factor: float = 1.0) -> Tensor:
    """The certificate for slacks of 0.01 to 100, whatever the label."""
    xi = torch.logspace(-2, 2, len(case.y), dtype=case.V.dtype, device=case.V.device)
    r = exact.minimum_l2(case.V, case.z, case.y, factor * xi).perturbation
    return certificate(case, r, xi)


EXACT = statement(
    id="thm-exact-radius",
    where="new, in place of Proposition 4.1",
    title="the radius of the quadratic model, exactly",
    printed=r"\mathbf r^*=\theta(I-\theta H)^{-1}\nabla,\quad \theta\in(0,1/\lambda_1):\ \sum_i\frac{g_i^2}{2\lambda_i}\Big[\frac1{(1-\theta\lambda_i)^2}-1\Big]=\xi,\quad (\lambda_i) \text{ the eigenvalues of the } K\times K \text{ matrix } A^TA",
    hypotheses=(OFF_KINKS, MODEL, ANY, "H ≠ 0", "not the hard case"),
    depends=("lemma-4.1-gradient", "thm-exact-curvature"),
    derivation=proof(prove_exact_radius, wrong=1, mistake="(I + θH)⁻¹ in place of (I − θH)⁻¹"),
    checks=(
        *check_both(
            "r* satisfies the certificate",
            lambda c: certificate(c, step(c)),
            lambda c: certificate(c, reach_along(c, c.uphill).unsqueeze(-1) * c.uphill),
            "the shortest step along the gradient",
            tolerance=1e-9,
        ),
        *check_both(
            "the same for any label and any slack",
            any_label_excess,
            1.001,
            "a slack one per mille larger",
            MISTAKES_TOO,
            tolerance=1e-9,
        ),
        *check_both(
            "climbing within the ball finds nothing higher",
            within(radius),
            1.001,
            "a ball one per mille larger",
            tolerance=1e-9,
        ),
        *check_both(
            "K = 2 gives Proposition 3.1",
            lambda c, factor=1.0: ratio_error(radius(c), factor * taylor_radius.radius_l2(c.V, c.z, c.y)),
            1.001,
            "one per mille more",
            TWO_CLASSES,
        ),
    ),
)

# --- the hard case ---------------------------------------------------------------------


def prove_hard_case(factor: int = 2) -> None:
    """At θ = 1/λ₁ the top direction drops out of the certificate, and t there gains λ₁t²/2."""
    g, t = sp.symbols("g t", real=True)
    top, size, xi, limit = sp.symbols("lambda_1 lambda xi L", positive=True)
    theta = 1 / top
    prove_zero(t**2 / 2 - theta * (0 * t + top * t**2 / 2), because="the top direction's share")
    prove_certificate(theta * g / (1 - theta * size), theta, "the other directions' share")
    sideways = sp.sqrt(factor * (xi - limit) / top)
    prove_zero(limit + top * sideways**2 / 2 - xi, because="the step sideways uses up what is left")


def mirrored_cases(draw: Draw) -> tuple[Instance, Tensor, Tensor]:
    """Rivals b ± c·e seen from a, e ⟂ a, b, all random; with ‖b − a‖ and c, (T,) each."""
    generator = torch.Generator().manual_seed(draw.seed)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(draw.trials, 1, generator=generator, dtype=torch.float64)

    frame = torch.linalg.qr(torch.randn(draw.trials, 5, 3, generator=generator, dtype=torch.float64)).Q
    ahead, aside, common = frame.unbind(dim=-1)
    distance, c = uniform(0.2, 3.0), uniform(0.2, 3.0)
    common = common * uniform(-2.0, 2.0)
    rivals = common + distance * ahead
    V = torch.stack([common, rivals + c * aside, rivals - c * aside], -1)
    z = torch.cat([uniform(0.1, 10.0), torch.zeros(draw.trials, 2, dtype=torch.float64)], dim=1)
    y = torch.zeros(draw.trials, dtype=torch.int64)
    case = closed_form(V.to(draw.device), z.to(draw.device), y.to(draw.device))
    return case, distance.to(draw.device)[:, 0], c.to(draw.device)[:, 0]


def hard_cases(draw: Draw, sideways: bool = True) -> tuple[Tensor, Instance]:
    """The hard ones among them with their radius by hand: H = pqℓ² along b − a and qc² along e, |∇| = qℓ."""
    case, ahead, c = mirrored_cases(draw)
    top, other = case.q * c.square(), case.p * case.q * ahead.square()
    along = case.q * ahead / (top - other)
    limit = case.q * ahead * along + 0.5 * other * along.square()
    hard = (top > other * (1 + 1e-6)) & (case.xi > limit * (1 + 1e-6))
    extra = 2 * (case.xi - limit) / top if sideways else torch.zeros_like(top)
    by_hand = (along.square() + extra).sqrt()
    return by_hand[hard], case.where(hard)


def hard_radius_excess(draw: Draw, sideways: bool = True) -> Tensor:
    """The radius against the one by hand."""
    by_hand, case = hard_cases(draw, sideways=sideways)
    return ratio_error(radius(case), by_hand)


def hard_certificate_excess(draw: Draw, factor: float = 1.0) -> Tensor:
    """Both r* and its mirror image satisfy the certificate."""
    _, case = hard_cases(draw)
    aside = (case.V[..., 1] - case.V[..., 2]) / 2
    r, unit = step(case), aside / length(aside).unsqueeze(-1)
    mirrored = r - 2 * factor * (r * unit).sum(dim=-1, keepdim=True) * unit
    return worst(certificate(case, r), certificate(case, mirrored))


HARD = theorem(
    id="thm-exact-radius-hard-case",
    title="the hard case: two shortest steps, neither along the gradient",
    printed=r"\nabla\perp\text{top eigenspace},\ \xi\ge L:=\sum_{\lambda_i<\lambda_1}\frac{g_i^2}{2\lambda_i}\Big[\frac1{(1-\lambda_i/\lambda_1)^2}-1\Big]:\quad \mathbf r^*=\sum_{\lambda_i<\lambda_1}\frac{g_i}{\lambda_1-\lambda_i}\,\mathbf u_i\pm\sqrt{\tfrac{2(\xi-L)}{\lambda_1}}\,\mathbf u_1",
    hypotheses=(OFF_KINKS, MODEL, ANY, "only with K ≥ 3", "λ₁ simple (otherwise a sphere of steps)"),
    depends=("thm-exact-radius",),
    derivation=proof(prove_hard_case, wrong=1, mistake="√((ξ − L)/λ₁) sideways"),
    checks=(
        check(
            "mirrored rivals: the radius by hand", hard_radius_excess, wrong=False, mistake="no step sideways"
        ),
        check(
            "both steps satisfy the certificate",
            hard_certificate_excess,
            wrong=0.9,
            mistake="a mirror image that is not quite one",
            tolerance=1e-9,
        ),
    ),
)

# --- the derivative --------------------------------------------------------------------


def prove_envelope(half: int = 2) -> None:
    """d(‖r*‖²) along g, λ and ξ, by differentiating the secular equation implicitly, every K.

    F(θ) = ξ is the equation, N(θ) = ‖r*‖². Since N' = 2θF', the change of θ drops out.
    """
    K = sp.Symbol("K", integer=True, positive=True)
    i, j = sp.symbols("i j", integer=True, nonnegative=True)
    g, size = sp.IndexedBase("g", real=True), sp.IndexedBase("lambda", positive=True)
    theta = sp.Symbol("theta", positive=True)

    def r(k: sp.Symbol) -> sp.Expr:
        return theta * g[k] / (1 - theta * size[k])

    gain = g[i] * r(i) + size[i] * r(i) ** 2 / 2
    prove_zero(sp.diff(r(i) ** 2, theta) - 2 * theta * sp.diff(gain, theta), because="N' = 2θF'")
    F, N = sp.Sum(gain, (i, 0, K - 1)), sp.Sum(r(i) ** 2, (i, 0, K - 1))
    for by, claimed in ((g[j], -2 * theta * r(j)), (size[j], -2 * theta * r(j) ** 2 / half)):
        total = differentiate(N, by, i) - 2 * theta * differentiate(F, by, i)
        prove_zero(total - claimed, because=f"along {by}")


def difference_excess(case: Instance, half: float = 0.5, h: float = 1e-6) -> Tensor:
    """The envelope derivative against a central difference, along a random direction in (V, z).

    V's differences of columns change by a share of themselves: two columns that agree stay so.
    """
    generator = torch.Generator().manual_seed(1)
    V, z, y = case.V, case.z, case.y
    W = torch.randn(V.shape, generator=generator, dtype=torch.float64).to(V.device)
    w = torch.randn(z.shape, generator=generator, dtype=torch.float64).to(V.device)
    W = W * (V - derivatives.column(V, y))
    r = step(case)

    def loss_gradient_form(t: float) -> tuple[Tensor, Tensor, Tensor]:
        moved = closed_form(V + t * W, z + t * w, y)
        return probability.loss(moved.z, y), (moved.gradient * r).sum(dim=-1), moved.quadratic_form(r)

    ahead, behind = loss_gradient_form(h), loss_gradient_form(-h)
    dL, dg, dH = ((a - b) / (2 * h) for a, b in zip(ahead, behind, strict=True))
    envelope = -(dL + dg + half * dH) / length(case.model_gradient(r))
    difference = exact.exact_radius_l2(V + h * W, z + h * w, y)
    difference = (difference - exact.exact_radius_l2(V - h * W, z - h * w, y)) / (2 * h)
    return (difference - envelope).abs() / (radius(case) + envelope.abs())


def autograd_excess(case: Instance, half: float = 0.5) -> Tensor:
    """Autograd's gradient of the radius against the model's at the fixed r*, in units of its rounding.

    Autograd's softmax knows p only to rounding, while the terms that matter are as small as √q.
    """
    V, z = case.V.detach().requires_grad_(), case.z.detach().requires_grad_()
    r = step(case)
    slope = length(case.model_gradient(r))
    with torch.enable_grad():
        in_V, in_z = torch.autograd.grad(exact.exact_radius_l2(V, z, case.y).sum(), (V, z))
        g, factor = derivatives.input_gradient(V, z, case.y), derivatives.hessian_factor(V, z)
        form = (factor.mT @ r.unsqueeze(-1)).square().sum(dim=(-2, -1))
        value = probability.loss(z, case.y) + (g * r).sum(dim=-1) + half * form
        at_V, at_z = torch.autograd.grad((-value / slope).sum(), (V, z))
    apart = torch.linalg.matrix_norm(in_V - at_V) / torch.linalg.matrix_norm(at_V)
    apart = torch.maximum(apart, (in_z - at_z).abs().amax(dim=-1) / at_z.abs().amax(dim=-1))
    return apart * case.q.sqrt()


ENVELOPE = theorem(
    id="thm-exact-radius-envelope",
    title="the derivative of the exact radius",
    printed=r"\mathrm d\|\mathbf r^*\|_2 = -\frac{\mathrm dL+\mathbf r^{*T}\mathrm d\nabla+\tfrac12\mathbf r^{*T}\mathrm dH\,\mathbf r^*}{\|\nabla+H\mathbf r^*\|_2}",
    hypotheses=(OFF_KINKS, ANY, "not the hard case"),
    depends=("thm-exact-radius",),
    derivation=proof(prove_envelope, wrong=1, mistake="no ½ before dH"),
    checks=(
        *check_both("against central differences", difference_excess, 1.0, "no ½ before dH", tolerance=1e-5),
        *check_both(
            "autograd's gradient of the radius against the formula",
            autograd_excess,
            1.0,
            "no ½ before H",
            tolerance=1e-8,
        ),
    ),
)


def prove_conditioned(half: int = 2) -> None:
    """|g| ≤ |g + λr|, θλ ≤ 1 and ξ ≤ r·(g + λr), one eigendirection at a time."""
    g, size, theta, left = sp.symbols("g lambda theta left", positive=True)
    r = theta * g / (1 - theta * size)
    prove_zero(g + size * r - g / (1 - theta * size), because="the slope")
    prove_sign((1 / left - 1).subs(left, 1 / (1 + sp.Symbol("k", positive=True))), "positive")
    work = r * (g + size * r) - (g * r + size * r**2 / half)
    prove_zero(work - size * r**2 / 2, because="what is left is a square")


def conditioning_excess(case: Instance, factor: float = 1.0) -> Tensor:
    """‖∇‖, ‖r*‖‖H‖ and ξ/‖r*‖, none of which may exceed ‖∇ + Hr*‖."""
    size, slope = radius(case), length(case.model_gradient(step(case)))
    return worst(
        violation(factor * case.gradient_norm, slope),
        violation(factor * size * case.curvature, slope),
        violation(factor * case.xi, size * slope),
    )


CONDITIONED = theorem(
    id="cor-exact-radius-conditioned",
    title="the radius is as well conditioned as a number can be",
    printed=r"\frac{|\mathrm d\rho|}{\rho}\le\frac{\|\mathrm d\nabla\|_2}{\|\nabla\|_2}+\frac12\,\frac{\|\mathrm dH\|_2}{\|H\|_2}+\frac{|\mathrm d\xi|}{\xi},\quad \rho=\|\mathbf r^*\|_2",
    hypotheses=(OFF_KINKS, ANY, "∇ ≠ 0, not the hard case"),
    depends=("thm-exact-radius-envelope",),
    derivation=proof(prove_conditioned, wrong=1, mistake="rᵀHr without its ½"),
    checks=check_both("the three quotients", conditioning_excess, 1.1, "a tenth more", tolerance=1e-9),
)

# --- the maximum norm, three classes ---------------------------------------------------


def prove_corner(factor: int = 1) -> None:
    """The model is convex: between two points it lies below its chord by a weighted variance, any K."""
    p_k, a_k, b_k, t = sp.symbols("p_k a_k b_k t")
    E = weighted_moments()

    def mean(value: sp.Expr) -> sp.Expr:
        return sum_over(p_k * value, E, p_k, a_k, b_k)

    def model(value: sp.Expr) -> sp.Expr:  # L + E[a] − a_y + Var[a]/2, with a_y = 0 and L = 0
        return mean(value) + (mean(value**2) - mean(value) ** 2) / 2

    chord = t * model(a_k) + (1 - t) * model(b_k) - model(t * a_k + (1 - t) * b_k)
    variance = mean((a_k - b_k) ** 2) - mean(a_k - b_k) ** 2
    prove_zero(chord - factor * t * (1 - t) * variance / 2, because="convexity")


def radius_linf(case: Instance) -> Tensor:
    """‖r̃*‖_∞ by the sweep over n candidates: (T,)."""
    return exact.exact_radius_linf_three_classes(case.V, case.z, case.y)


SUP = statement(
    id="thm-exact-radius-linf",
    where="new, in place of Eqs. (39) and (40)",
    title="the exact radius in the maximum norm, three classes",
    printed=r"\|\tilde{\mathbf r}^*\|_\infty = \min_{\mathbf s}\frac{2\xi}{|\nabla^T\mathbf s|+\sqrt{(\nabla^T\mathbf s)^2+2\xi\,\mathbf s^TH\mathbf s}},\quad \mathbf s\in\{\pm1\}^n; \text{ for } K=3\ n \text{ candidates, found by one sort, suffice}",
    hypotheses=(OFF_KINKS, MODEL, ANY, "K = 3 for the sort; any K for the minimum over signs"),
    depends=("lemma-4.1-gradient", "lemma-4.1-hessian"),
    derivation=proof(prove_corner, wrong=2, mistake="twice the variance"),
    checks=(
        check_random(
            "the sweep against all corners, n = 6 (random instances)",
            lambda c: ratio_error(radius_linf(c), corner_radius(c)),
            lambda c: ratio_error(reach_along(c, c.gradient.sign()), corner_radius(c)),
            "the corner sign ∇ only",
            Sampling(classes=(3,), inputs=6),
            tolerance=1e-9,
        ),
        check_networks(
            "climbing within the box finds nothing higher (networks, autograd)",
            within(radius_linf, box=True),
            1.001,
            "a box one per mille larger",
            Sampling(classes=(3,)),
        ),
        check_networks(
            "never more than the corner sign ∇ needs (networks, autograd)",
            lambda c: violation(radius_linf(c), reach_along(c, c.gradient.sign())),
            lambda c: violation(reach_along(c, c.gradient.sign()), radius_linf(c)),
            "the two exchanged",
            Sampling(classes=(3,)),
        ),
    ),
)

CLAIMS = (EXACT, HARD, ENVELOPE, CONDITIONED, SUP)
