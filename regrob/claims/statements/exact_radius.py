"""The exact radius with any number of classes: the secular equation and its hard case."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor

from regrob.claims.claim import Check, Claim, Derivation, Text
from regrob.claims.instances import Draw
from regrob.claims.many import OFF_KINKS, Case, both, gain, too_long
from regrob.symbols import prove_sign, prove_zero, sum_over
from regrob.theory import derivatives, taylor_radius
from regrob.theory import exact_radius as exact

PAGE = "book/exact_radius"
ANY = "any label with L < β; any β"
MODEL = "the loss replaced by its quadratic model"

# --- the secular equation --------------------------------------------------------------


def prove_square(rest: int = 1) -> None:
    """∇ = Aw and ‖w‖² = q/p_y with w_k = √p_k (k ≠ y), w_y = −q/√p_y: for every K."""
    q, v_y = sp.symbols("q v_y")
    p_y = 1 - q
    p_j, v_j = sp.symbols("p_j v_j")

    def moment(i: int, j: int) -> sp.Expr:
        return q if (i, j) == (1, 0) else sp.Symbol(f"R{j}")

    mean = p_y * v_y + moment(1, 1)  # v̄, one coordinate of it
    product = sum_over(p_j * (v_j - mean), moment, p_j, v_j) - rest * q * (v_y - mean)
    prove_zero(product - (mean - v_y), because="∇ = Aw")
    prove_zero(q + (q / sp.sqrt(p_y)) ** 2 - q / p_y, because="‖w‖² = q/p_y")


def prove_secular(sign: int = -1) -> None:
    """One eigendirection at a time: the gain, its growth, and the certificate of the minimum."""
    g, r = sp.symbols("g r", real=True)
    size, theta, left = sp.symbols("lambda theta left", positive=True)  # left = 1 − θλ > 0
    at = theta * g / (1 + sign * theta * size)  # r*_i
    gained = g * at + size * at**2 / 2
    secular = g**2 / (2 * size) * ((1 - theta * size) ** -2 - 1)
    prove_zero(gained - secular, because="the gain of r*")
    growth = sp.diff(secular, theta)
    prove_zero(growth - (g**2 / left**3).subs(left, 1 - theta * size), because="its growth")
    prove_sign(g**2 / left**3, "nonnegative")
    # ½r² − θ(gain of r) + const = ½(1 − θλ)(r − r*)²: no r of the same gain is shorter.
    lagrangian = r**2 / 2 - theta * (g * r + size * r**2 / 2)
    square = left / 2 * ((r - at) ** 2 - at**2)
    prove_zero(lagrangian - square.subs(left, 1 - theta * size), because="the certificate")


def prove_scaled() -> None:
    """θ = κ/((1+κ)λ₁), λ = μλ₁, g² = λw²: the gain is w²h(h+2)/2, h = κμ/(1 + κ(1−μ))."""
    size, w = sp.symbols("lambda_1 w", positive=True)
    kappa, mu = sp.symbols("kappa mu", positive=True)
    theta, own = kappa / ((1 + kappa) * size), mu * size
    secular = w**2 / 2 * ((1 - theta * own) ** -2 - 1)
    h = kappa * mu / (1 + kappa * (1 - mu))
    prove_zero(sp.together(secular - w**2 * h * (h + 2) / 2), because="the equation in κ")


def prove_exact_radius(wrong: bool = False) -> None:
    """Completing the square, the secular equation, and its form without cancellation."""
    prove_square()
    prove_secular(1 if wrong else -1)
    prove_scaled()


def certificate(case: Case, r: Tensor, xi: Tensor | None = None) -> Tensor:
    """How far r is from satisfying the conditions that make it a global minimiser: (T,).

    The gain is ξ (log K − L if None); r = θ(∇ + Hr); and I − θH ⪰ 0. Only ∇ and H enter,
    not how r was found.
    """
    xi = case.xi if xi is None else xi
    slope = case.gradient + (case.hessian @ r.unsqueeze(-1)).squeeze(-1)
    length = torch.linalg.vector_norm(r, dim=-1)
    theta = length / torch.linalg.vector_norm(slope, dim=-1)
    stationary = torch.linalg.vector_norm(r - theta.unsqueeze(-1) * slope, dim=-1) / length
    active = (gain(case, r) / xi - 1).abs()
    return torch.stack([stationary, active, theta * case.bend - 1]).amax(dim=0)


def step(case: Case) -> Tensor:
    """r*: (T, n)."""
    return exact.exact_perturbation_l2(case.V, case.z, case.y)


def _any_label(case: Case, factor: float = 1.0) -> Tensor:
    """The certificate for slacks of 0.01 to 100, whatever the label."""
    xi = torch.logspace(-2, 2, len(case.y), dtype=case.V.dtype, device=case.V.device)
    r = exact.minimum_l2(case.V, case.z, case.y, factor * xi).perturbation
    return certificate(case, r, xi)


def _along_gradient(case: Case) -> Tensor:
    """The shortest feasible step along ∇."""
    unit = case.gradient / case.slope.unsqueeze(-1)
    bend = (unit.unsqueeze(-2) @ case.hessian @ unit.unsqueeze(-1)).flatten()
    return taylor_radius.positive_root(case.slope, bend, case.xi).unsqueeze(-1) * unit


def radius(case: Case) -> Tensor:
    """‖r*‖₂: (T,)."""
    return exact.exact_radius_l2(case.V, case.z, case.y)


def _binary(case: Case, factor: float = 1.0) -> Tensor:
    return (radius(case) / (factor * taylor_radius.radius_l2(case.V, case.z, case.y)) - 1).abs()


EXACT = Claim(
    id="thm-exact-radius",
    where="new, in place of Proposition 4.1",
    title="the radius of the quadratic model, exactly",
    printed=(
        r"\mathbf r^*=\theta(I-\theta H)^{-1}\nabla,\quad \theta\in(0,1/\lambda_1):\ "
        r"\sum_i\frac{g_i^2}{2\lambda_i}\Big[\frac1{(1-\theta\lambda_i)^2}-1\Big]=\xi,\quad "
        r"(\lambda_i) \text{ the eigenvalues of the } K\times K \text{ matrix } A^TA"
    ),
    text=Text.NEW,
    hypotheses=(OFF_KINKS, MODEL, ANY, "H ≠ 0", "not the hard case"),
    depends=("lemma-4.1-gradient", "thm-exact-curvature"),
    chapter=PAGE,
    derivation=Derivation(
        prove_exact_radius, lambda: prove_exact_radius(wrong=True), "(I + θH)⁻¹ in place of (I − θH)⁻¹"
    ),
    checks=(
        *both(
            "r* satisfies the certificate",
            lambda c: certificate(c, step(c)),
            lambda c: certificate(c, _along_gradient(c)),
            "the shortest step along the gradient",
            tolerance=1e-9,
        ),
        *both(
            "the same for any label and any slack",
            _any_label,
            lambda c: _any_label(c, 1.001),
            "a slack one per mille larger",
            correct=False,
            tolerance=1e-9,
        ),
        *both(
            "climbing within the ball finds nothing higher",
            lambda c: too_long(c, radius(c)),
            lambda c: too_long(c, 1.001 * radius(c)),
            "a ball one per mille larger",
            tolerance=1e-9,
        ),
        *both(
            "K = 2 gives Proposition 3.1",
            _binary,
            lambda c: _binary(c, 1.001),
            "one per mille more",
            classes=(2,),
        ),
    ),
)

# --- the hard case ---------------------------------------------------------------------


def prove_hard_case(factor: int = 2) -> None:
    """At θ = 1/λ₁ the top direction drops out of the certificate, and t there gains λ₁t²/2."""
    g, r, t = sp.symbols("g r t", real=True)
    top, size, xi, limit = sp.symbols("lambda_1 lambda xi L", positive=True)
    theta, left = 1 / top, sp.Symbol("left", positive=True)
    prove_zero(t**2 / 2 - theta * (0 * t + top * t**2 / 2), because="the top direction's share")
    at = theta * g / (1 - theta * size)
    lagrangian = r**2 / 2 - theta * (g * r + size * r**2 / 2)
    square = left / 2 * ((r - at) ** 2 - at**2)
    prove_zero(lagrangian - square.subs(left, 1 - theta * size), because="the other directions' share")
    sideways = sp.sqrt(factor * (xi - limit) / top)
    prove_zero(limit + top * sideways**2 / 2 - xi, because="the step sideways uses up what is left")


def _mirrored(draw: Draw) -> tuple[Case, Tensor, Tensor]:
    """Hard cases: rivals b ± c·e seen from a, e ⟂ a, b. Also b − a and c², all random."""
    generator = torch.Generator().manual_seed(draw.seed)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(draw.trials, 1, generator=generator, dtype=torch.float64)

    frame = torch.linalg.qr(torch.randn(draw.trials, 5, 3, generator=generator, dtype=torch.float64)).Q
    ahead, aside, common = frame.unbind(dim=-1)
    length, c = uniform(0.2, 3.0), uniform(0.2, 3.0)
    common = common * uniform(-2.0, 2.0)
    V = torch.stack([common, common + length * ahead + c * aside, common + length * ahead - c * aside], -1)
    z = torch.cat([uniform(0.1, 10.0), torch.zeros(draw.trials, 2, dtype=torch.float64)], dim=1)
    y = torch.zeros(draw.trials, dtype=torch.int64)
    V, z, y = V.to(draw.device), z.to(draw.device), y.to(draw.device)
    g, H = derivatives.input_gradient(V, z, y), derivatives.hessian(V, z)
    case = Case(V, z, y, g, H, torch.ones_like(z[:, 0]))
    return case, length.to(draw.device)[:, 0], c.to(draw.device)[:, 0]


def _by_hand(draw: Draw, *, sideways: bool = True) -> tuple[Tensor, Case]:
    """The radius of the hard instances by hand: H = pqℓ² along b − a and qc² along e, |∇| = qℓ."""
    case, ahead, c = _mirrored(draw)
    top, other = case.q * c.square(), case.p * case.q * ahead.square()
    along = case.q * ahead / (top - other)
    limit = case.q * ahead * along + 0.5 * other * along.square()
    hard = (top > other * (1 + 1e-6)) & (case.xi > limit * (1 + 1e-6))
    extra = 2 * (case.xi - limit) / top if sideways else torch.zeros_like(top)
    length = (along.square() + extra).sqrt()
    return length[hard], Case(*(part[hard] for part in case))


def _hard_excess(*, sideways: bool) -> Callable[[Draw], Tensor]:
    def excess(draw: Draw) -> Tensor:
        expected, case = _by_hand(draw, sideways=sideways)
        return (radius(case) / expected - 1).abs()

    return excess


def _hard_certificate(factor: float) -> Callable[[Draw], Tensor]:
    """Both r* and its mirror image satisfy the certificate."""

    def excess(draw: Draw) -> Tensor:
        _, case = _by_hand(draw)
        aside = (case.V[..., 1] - case.V[..., 2]) / 2
        r, unit = step(case), aside / torch.linalg.vector_norm(aside, dim=-1, keepdim=True)
        mirrored = r - 2 * factor * (r * unit).sum(dim=-1, keepdim=True) * unit
        return torch.maximum(certificate(case, r), certificate(case, mirrored))

    return excess


HARD = Claim(
    id="thm-exact-radius-hard-case",
    where="new",
    title="the hard case: two shortest steps, neither along the gradient",
    printed=(
        r"\nabla\perp\text{top eigenspace},\ \xi\ge L:=\sum_{\lambda_i<\lambda_1}\frac{g_i^2}{2\lambda_i}"
        r"\Big[\frac1{(1-\lambda_i/\lambda_1)^2}-1\Big]:\quad "
        r"\mathbf r^*=\sum_{\lambda_i<\lambda_1}\frac{g_i}{\lambda_1-\lambda_i}\,\mathbf u_i"
        r"\pm\sqrt{\tfrac{2(\xi-L)}{\lambda_1}}\,\mathbf u_1"
    ),
    text=Text.NEW,
    hypotheses=(OFF_KINKS, MODEL, ANY, "only with K ≥ 3", "λ₁ simple (otherwise a sphere of steps)"),
    depends=("thm-exact-radius",),
    chapter=PAGE,
    derivation=Derivation(prove_hard_case, lambda: prove_hard_case(1), "√((ξ − L)/λ₁) sideways"),
    checks=(
        Check(
            "mirrored rivals: the radius by hand",
            _hard_excess(sideways=True),
            _hard_excess(sideways=False),
            "no step sideways",
        ),
        Check(
            "both steps satisfy the certificate",
            _hard_certificate(1.0),
            _hard_certificate(0.9),
            "a mirror image that is not quite one",
            tolerance=1e-9,
        ),
    ),
)

CLAIMS = (EXACT, HARD)
"""New: the exact radius in the Euclidean norm."""
