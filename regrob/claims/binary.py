"""Section 3: two classes. The local map, Lemma 3.2 and Proposition 3.1."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor

from regrob import probability, properties, radii
from regrob.claims.core import Check, Claim, Counterexample, Derivation, Text, Verdict
from regrob.claims.draw import Draw, Instance, Sample, autograd_noise
from regrob.errors import ProofError
from regrob.symbols import cross_entropy, differentiate, prove_equal, prove_sign, prove_zero

AFFINE, LEMMA, RADIUS = "book/locally_affine", "book/lemma_3_2", "book/proposition_3_1"
OFF_KINKS = "x off the kinks (the interior of Q(x))"
CORRECT = "x classified correctly: p_y > 1/2"
BINARY = "K = 2"


def relative(difference: Tensor, reference: Tensor, axes: int) -> Tensor:
    """‖difference‖ / ‖reference‖ over the last axes, one number an instance."""
    last = tuple(range(-axes, 0))
    size = reference.square().sum(dim=last).sqrt()
    return difference.square().sum(dim=last).sqrt() / size.clamp_min(torch.finfo(size.dtype).tiny)


# --- Eq. (5): affine inside the polytope -----------------------------------------------


def prove_affine(order: Callable[..., sp.MatrixExpr] = lambda W1, D, W2: W1 * D * W2) -> None:
    """With the mask D fixed, W₂ᵀDW₁ᵀx = Vᵀx for V = W₁DW₂, at every size; D is diagonal."""
    n, h, k = sp.symbols("n h k", integer=True, positive=True)
    W1, W2 = sp.MatrixSymbol("W1", n, h), sp.MatrixSymbol("W2", h, k)
    D, x = sp.MatrixSymbol("D", h, h), sp.MatrixSymbol("x", n, 1)
    logits = W2.T * D * W1.T * x
    claimed = sp.refine((order(W1, D, W2).T * x).doit(), sp.Q.symmetric(D))
    if logits.doit() != claimed.doit():
        raise ProofError(f"{logits} is not {claimed}")


def _affine_excess(V_of: Callable[[Sample], Tensor]) -> Callable[[Draw], Tensor]:
    """Move a little inside Q(x): the logits must move by Vᵀr exactly."""

    def excess(draw: Draw) -> Tensor:
        def one(sample: Sample) -> Tensor:
            generator = torch.Generator().manual_seed(draw.seed)
            step = torch.randn(sample.images.shape, generator=generator, dtype=torch.float64)
            step = 1e-7 * step.to(sample.images)
            with torch.no_grad():
                moved = sample.network(sample.images + step) - sample.network(sample.images)
            predicted = (V_of(sample).mT @ step.flatten(1).unsqueeze(-1)).squeeze(-1)
            return relative(moved - predicted, predicted, axes=1)

        return draw.over_samples(2, one)

    return excess


EQ_5 = Claim(
    id="eq-5",
    where="Section 3, Eq. (5)",
    title="the logits are affine around x",
    printed=r"g(\mathbf x')|_{\mathbf x'\in Q(\mathbf x)} = V^T\mathbf x'",
    corrected=r"g(\mathbf x') = V^T\mathbf x' + \mathbf c \text{ on } Q(\mathbf x), \quad \mathbf c = 0 \text{ without biases}",
    text=Text.RESTATED,
    hypotheses=("piecewise-linear network", OFF_KINKS, "no biases, or an offset c"),
    chapter=AFFINE,
    derivation=Derivation(
        prove_affine,
        lambda: prove_affine(lambda W1, D, W2: W1 * D * D * W2),
        "the mask applied twice",
    ),
    checks=(
        Check(
            "V against autograd's Jacobian",
            lambda draw: draw.over_samples(
                2, lambda s: relative(s.map.V - s.autograd.jacobian, s.autograd.jacobian, axes=2)
            ),
            lambda draw: draw.over_samples(
                2, lambda s: relative(s.map.V.flip(-1) - s.autograd.jacobian, s.autograd.jacobian, axes=2)
            ),
            "the two classes exchanged",
        ),
        Check(
            "a step inside Q(x) moves the logits by V'r",
            _affine_excess(lambda s: s.map.V),
            _affine_excess(lambda s: s.map.V * 1.01),
            "V one per cent too large",
            tolerance=1e-6,  # a step of 1e-7 leaves nine digits of a difference of logits
        ),
    ),
)

# --- Lemma 3.2 -------------------------------------------------------------------------


def prove_gradient(sign: int = 1) -> None:
    """Differentiate the loss for general n and K; at K = 2 both labels give ∓q(v₊ − v₋)."""
    L = cross_entropy()
    prove_equal(L.gradient(), L.mean(L.v[L.a, L.k]) - L.v[L.a, L.y], because="∇ = V(p − e_y)")
    plus, minus, p = sp.symbols("v_plus v_minus p_plus")  # one coordinate stands for all
    for label in (1, -1):
        p_y = p if label == 1 else 1 - p
        own = plus if label == 1 else minus
        gradient = p * plus + (1 - p) * minus - own
        prove_zero(gradient - sign * label * (p_y - 1) * (plus - minus), because="Eq. (7), ∇")


def prove_hessian(power: int = 1) -> None:
    """Differentiate twice for general n and K; at K = 2 the covariance is p₊p₋ s sᵀ."""
    L = cross_entropy()
    v_a, v_b = L.v[L.a, L.k], L.v[L.b, L.k]
    prove_equal(
        L.hessian(), L.mean(v_a * v_b) - L.mean(v_a) * L.mean(v_b), because="H = V(diag p − ppᵀ)Vᵀ"
    )
    a_plus, a_minus, b_plus, b_minus, p = sp.symbols("a_plus a_minus b_plus b_minus p")
    q = 1 - p
    covariance = (
        p * a_plus * b_plus
        + q * a_minus * b_minus
        - (p * a_plus + q * a_minus) * (p * b_plus + q * b_minus)
    )
    prove_zero(covariance - (p * q) ** power * (a_plus - a_minus) * (b_plus - b_minus), because="Eq. (7), H")


def _signed(y: Tensor) -> Tensor:
    """The paper's label: +1 for class 0 (the column v₊), −1 for class 1."""
    return (1 - 2 * y).to(torch.float64)


def binary_gradient(local_V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """∇ = y(p_y − 1)(v₊ − v₋), literally Eq. (7) with y = ±1: (…, n)."""
    q = probability.rival_probability(z, y)
    return (-_signed(y) * q).unsqueeze(-1) * (local_V[..., 0] - local_V[..., 1])


def binary_hessian(local_V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """H = p_y(1 − p_y)(v₊ − v₋)(v₊ − v₋)ᵀ, literally Eq. (7): (…, n, n)."""
    s = local_V[..., 0] - local_V[..., 1]
    pq = probability.label_probability(z, y) * probability.rival_probability(z, y)
    return pq[..., None, None] * s.unsqueeze(-1) * s.unsqueeze(-2)


def _gradient_excess(factor: float) -> Callable[[Draw], Tensor]:
    def one(s: Sample) -> Tensor:
        formula = factor * binary_gradient(s.map.V, s.map.z, s.y)
        return relative(formula - s.autograd.gradient, s.autograd.gradient, axes=1) / autograd_noise(s)

    return lambda draw: draw.over_samples(2, one)


def _hessian_excess(factor: float) -> Callable[[Draw], Tensor]:
    def one(s: Sample) -> Tensor:
        formula = factor * binary_hessian(s.map.V, s.map.z, s.y)
        return relative(formula - s.autograd.hessian, s.autograd.hessian, axes=2) / autograd_noise(s)

    return lambda draw: draw.over_samples(2, one)


LEMMA_JACOBIAN = Claim(
    id="lemma-3.2-jacobian",
    where="Lemma 3.2, Eq. (7), first line",
    title="the Jacobian is V",
    printed="J = V",
    hypotheses=("piecewise-linear network", OFF_KINKS, BINARY),
    depends=("eq-5",),
    chapter=LEMMA,
    derivation=Derivation(
        lambda: prove_jacobian(),
        lambda: prove_jacobian(transposed=True),
        "the transpose of V",
    ),
    checks=EQ_5.checks[:1],
)


def prove_jacobian(transposed: bool = False) -> None:
    """∂z_k/∂x_a = v[a, k] for every n and K, by differentiating the sum."""
    L = cross_entropy()
    entry = L.v[L.k, L.a] if transposed else L.v[L.a, L.k]
    prove_equal(differentiate(L.logit(L.k), L.x[L.a], L.c), entry, because="J = V")


LEMMA_GRADIENT = Claim(
    id="lemma-3.2-gradient",
    where="Lemma 3.2, Eq. (7), second line; Eq. (18)",
    title="the input gradient",
    printed=r"\nabla = y(p(\mathbf x)_y - 1)(\mathbf v_+ - \mathbf v_-)^T",
    corrected=r"\nabla = y(p_y - 1)(\mathbf v_+ - \mathbf v_-)",
    text=Text.CORRECTED,
    hypotheses=("piecewise-linear network", OFF_KINKS, BINARY, "∇ a column, as the Hessian needs"),
    transcription=True,
    depends=("lemma-3.2-jacobian",),
    chapter=LEMMA,
    derivation=Derivation(prove_gradient, lambda: prove_gradient(sign=-1), "the sign reversed"),
    checks=(
        Check(
            "Eq. (7) against autograd's gradient",
            _gradient_excess(1.0),
            _gradient_excess(-1.0),
            "the sign reversed",
        ),
    ),
)

LEMMA_HESSIAN = Claim(
    id="lemma-3.2-hessian",
    where="Lemma 3.2, Eq. (7), last two lines; Eq. (19)",
    title="the Hessian has rank one",
    printed=r"H = p(\mathbf x)_y(1 - p(\mathbf x)_y)(\mathbf v_+ - \mathbf v_-)(\mathbf v_+ - \mathbf v_-)^T",
    hypotheses=("piecewise-linear network", OFF_KINKS, BINARY),
    depends=("lemma-3.2-gradient",),
    chapter=LEMMA,
    derivation=Derivation(prove_hessian, lambda: prove_hessian(power=2), "p_y(1 − p_y) squared"),
    checks=(
        Check(
            "Eq. (7) against autograd's Hessian",
            _hessian_excess(1.0),
            _hessian_excess(1.01),
            "one per cent too much curvature",
        ),
    ),
)

# --- Proposition 3.1 -------------------------------------------------------------------


def prove_radius(outside: int = 1) -> None:
    """(√(1 + 2pξ/q) − 1)/(pν) solves ‖∇‖ρ + ‖H‖ρ²/2 = ξ; `outside=0` moves the −1 inside."""
    p, nu, xi = sp.symbols("p nu xi", positive=True)
    q = sp.symbols("q", positive=True)  # stands for 1 − p
    inner = 1 + 2 * p * xi / q
    rho = (sp.sqrt(inner) - 1 if outside else sp.sqrt(inner - 1)) / (p * nu)
    prove_zero(q * nu * rho + p * q * nu**2 * rho**2 / 2 - xi, because="the quadratic model reaches β")


def _radius_excess(radius: Callable[[Instance], Tensor]) -> Callable[[Draw], Tensor]:
    """Step by the radius along ∇: the loss's quadratic model must reach log 2."""

    def excess(draw: Draw) -> Tensor:
        instance = draw.instances(2)
        g = properties.input_gradient(*instance)
        H = properties.hessian(instance.V, instance.z)
        direction = g / torch.linalg.vector_norm(g, dim=-1, keepdim=True)
        r = radius(instance).unsqueeze(-1) * direction
        linear = (g * r).sum(dim=-1)
        model = linear + 0.5 * (r.unsqueeze(-2) @ H @ r.unsqueeze(-1)).flatten()
        xi = probability.slack(instance.z, instance.y)
        return (model - xi).abs() / xi

    return excess


def printed_radius(instance: Instance) -> Tensor:
    """Eq. (8) as printed, with the −1 under the root."""
    p = probability.label_probability(instance.z, instance.y)
    q = probability.rival_probability(instance.z, instance.y)
    xi = probability.slack(instance.z, instance.y)
    return torch.sqrt(2 * p * xi / q) / (p * properties.cross_lipschitz(instance.V))


def _minimal_excess(shrink: float) -> Callable[[Draw], Tensor]:
    """No shorter step in any direction reaches log 2: the model at `shrink`·‖r*‖ stays below."""

    def excess(draw: Draw) -> Tensor:
        instance = draw.instances(2)
        generator = torch.Generator().manual_seed(draw.seed + 1)
        r = torch.randn(instance.V.shape[:-1], generator=generator, dtype=torch.float64)
        g = properties.input_gradient(*instance)
        # A mixture that leans towards ±∇, the only directions in which the model moves.
        r = r / r.norm(dim=-1, keepdim=True) + 9 * r[:, :1].sign() * g / g.norm(dim=-1, keepdim=True)
        r = r / r.norm(dim=-1, keepdim=True) * shrink * radii.radius_l2(*instance).unsqueeze(-1)
        H = properties.hessian(instance.V, instance.z)
        model = (g * r).sum(dim=-1) + 0.5 * (r.unsqueeze(-2) @ H @ r.unsqueeze(-1)).flatten()
        xi = probability.slack(instance.z, instance.y)
        return (model - xi) / xi

    return excess


PROP_3_1 = Claim(
    id="prop-3.1",
    where="Proposition 3.1, Eqs. (8) and (20)",
    title="the Taylor radius in closed form",
    printed=r"\|\mathbf r^*\|_2 = \frac{1}{p_y\|\mathbf v_+-\mathbf v_-\|_2}\left(\sqrt{1+\frac{2p_y\xi}{1-p_y}}-1\right)",
    hypotheses=(BINARY, CORRECT, "ν > 0", "β = log 2", "the loss replaced by its quadratic model"),
    depends=("lemma-3.2-gradient", "lemma-3.2-hessian"),
    chapter=RADIUS,
    derivation=Derivation(prove_radius, lambda: prove_radius(outside=0), "the −1 under the root"),
    checks=(
        Check(
            "a step of ‖r*‖ along ∇ reaches the threshold",
            _radius_excess(lambda i: radii.radius_l2(*i)),
            _radius_excess(printed_radius),
            "Eq. (8) as printed",
        ),
        Check(
            "no shorter step does",
            _minimal_excess(1.0),
            _minimal_excess(1.3),
            "steps 1.3 times as long, some of which do",
        ),
    ),
)


def counterexample_eq_8() -> Counterexample:
    """p = 4/5, ν = 1: put the printed radius into the quadratic model."""
    p, xi = sp.Rational(4, 5), sp.log(sp.Rational(8, 5))
    rho = sp.sqrt(2 * p * xi / (1 - p)) / p
    model = (1 - p) * rho + p * (1 - p) * rho**2 / 2
    return Counterexample(
        r"p_y = \tfrac45,\ \nu = 1,\ \xi = \log\tfrac85: \text{ model at the printed radius against } \xi",
        model,
        "=",
        xi,
    )


EQ_8 = Claim(
    id="eq-8",
    where="Proposition 3.1, Eq. (8)",
    title="Eq. (8) with the −1 under the root",
    printed=r"\|\mathbf r^*\|_2 = \frac{1}{p_y\|\mathbf v_+-\mathbf v_-\|_2}\left(\sqrt{1+\frac{2p_y\xi}{1-p_y}-1}\right)",
    corrected=PROP_3_1.printed,
    text=Text.CORRECTED,
    hypotheses=PROP_3_1.hypotheses,
    transcription=True,
    depends=("prop-3.1",),
    chapter=RADIUS,
    checks=PROP_3_1.checks[:1],
    counterexample=counterexample_eq_8,
    expected=Verdict.FAILS,
)


def prove_monotone(claim_sign: int = 1) -> None:
    """d‖r*‖/dp > 0 at fixed ν, by the implicit derivative of q τ + pq τ²/2 = log 2p.

    With p = (1 + s)/2 and 0 < s < 1 every factor shows its sign.
    """
    p, tau, s, rest = sp.symbols("p tau s rest", positive=True)  # rest = 1 − s
    equation = (1 - p) * tau + p * (1 - p) * tau**2 / 2 - sp.log(2 * p)
    rate = -sp.diff(equation, p) / sp.diff(equation, tau)
    claimed = (tau + (2 * p - 1) * tau**2 / 2 + 1 / p) / ((1 - p) * (1 + p * tau))
    prove_equal(rate, claimed, because="implicit derivative")
    in_s = (tau + s * tau**2 / 2 + 2 / (1 + s)) / (rest / 2 * (1 + (1 + s) / 2 * tau))
    prove_zero(in_s.subs(rest, 1 - s) - claimed.subs(p, (1 + s) / 2), because="p = (1 + s)/2")
    prove_sign(claim_sign * in_s, "positive")


def _monotone_excess(radius: Callable[[Tensor], Tensor]) -> Callable[[Draw], Tensor]:
    """A larger p never gives a smaller radius: first differences over sorted margins."""

    def excess(draw: Draw) -> Tensor:
        generator = torch.Generator().manual_seed(draw.seed)
        m = torch.rand(draw.trials + 1, generator=generator, dtype=torch.float64)
        m = (1e-6 * (7e8) ** m).sort().values.to(draw.device)
        tau = radius(m)
        return -(tau.diff() / tau[1:])

    return excess


MONOTONE = Claim(
    id="remark-radius-monotone",
    where="Section 3.1, Figure 1 and the text below Eq. (8)",
    title="the radius grows with the predicted probability",
    printed=r"p_y \mapsto \|\mathbf r^*\|_2 \text{ increases on } (0.5, 1.0] \text{ at fixed } \nu",
    corrected=r"p_y \mapsto \|\mathbf r^*\|_2 \text{ increases strictly on } (\tfrac12, 1) \text{ at fixed } \nu;\ \to 0 \text{ at } \tfrac12,\ \to \infty \text{ at } 1",
    text=Text.RESTATED,
    hypotheses=(BINARY, "1/2 < p_y < 1", "ν > 0 held fixed"),
    depends=("prop-3.1",),
    chapter=RADIUS,
    derivation=Derivation(prove_monotone, lambda: prove_monotone(-1), "decreasing instead"),
    checks=(
        Check(
            "first differences over margins from 1e-6 to 700",
            _monotone_excess(radii.taylor_margin),
            _monotone_excess(lambda m: radii.taylor_margin(m) * torch.sigmoid(-m).sqrt() ** 1.1),
            "a radius that shrinks like q^0.55",
        ),
    ),
)

# --- New: the Taylor radius against the true margin ------------------------------------


def prove_overshoot(factor: int = 1) -> None:
    """τ'(m) − 1 = p(2p − 1)τ²/(2(1 + pτ)) > 0 for p > ½, and τ(0) = 0: so τ(m) > m for m > 0."""
    p, tau = sp.symbols("p tau", positive=True)
    equation_p = -tau + (1 - 2 * p) * tau**2 / 2 - 1 / p  # ∂/∂p of qτ + pqτ²/2 − log 2p
    equation_tau = (1 - p) + p * (1 - p) * tau
    rate = -equation_p / equation_tau * p * (1 - p)  # dp/dm = pq
    claimed = 1 + factor * p * (2 * p - 1) * tau**2 / (2 * (1 + p * tau))
    prove_equal(rate, claimed, because="τ'(m)")
    s = sp.symbols("s", positive=True)  # p = (1 + s)/2
    prove_sign((claimed - 1).subs(p, (1 + s) / 2), "positive")


def _overshoot_excess(ratio: Callable[[Instance], Tensor]) -> Callable[[Draw], Tensor]:
    return lambda draw: 1.0 - ratio(draw.instances(2, low=0.3))


def _true_margin_excess(shift: float) -> Callable[[Draw], Tensor]:
    """The margin d really is the distance: a step d along −s lands where both logits tie."""

    def excess(draw: Draw) -> Tensor:
        V, z, y = draw.instances(2)
        away = -_signed(y).unsqueeze(-1) * (V[..., 0] - V[..., 1])
        r = away / away.norm(dim=-1, keepdim=True) * radii.margin_l2(V, z, y).unsqueeze(-1) * (1 + shift)
        moved = z + (V.mT @ r.unsqueeze(-1)).squeeze(-1)
        return (moved[:, 0] - moved[:, 1]).abs() / z.abs().amax(dim=-1)

    return excess


OVERSHOOT = Claim(
    id="thm-taylor-overshoots",
    where="new",
    title="the Taylor radius always exceeds the true margin",
    printed=r"\|\mathbf r^*\|_2 > d = \frac{m}{\nu} \text{ whenever } m = \log\frac{p_y}{1-p_y} > 0",
    text=Text.NEW,
    hypotheses=(BINARY, CORRECT, "ν > 0", "d is the distance to the boundary of the local affine classifier"),
    depends=("prop-3.1",),
    chapter=RADIUS,
    derivation=Derivation(prove_overshoot, lambda: prove_overshoot(2), "twice the excess slope"),
    checks=(
        Check(
            "‖r*‖/d stays above one",
            _overshoot_excess(lambda i: radii.radius_l2(*i) / radii.margin_l2(*i)),
            _overshoot_excess(lambda i: radii.margin_l2(*i) / radii.radius_l2(*i)),
            "the two exchanged",
            tolerance=1e-12,
        ),
        Check(
            "a step of d ends on the boundary",
            _true_margin_excess(0.0),
            _true_margin_excess(1e-3),
            "a step one per mille longer",
        ),
    ),
)

CLAIMS = (
    EQ_5,
    LEMMA_JACOBIAN,
    LEMMA_GRADIENT,
    LEMMA_HESSIAN,
    PROP_3_1,
    EQ_8,
    MONOTONE,
    OVERSHOOT,
)

