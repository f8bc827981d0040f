"""Lemma 3.1: the Taylor radius between two roots. Eqs. (6) and (33), and when they collapse."""

from __future__ import annotations

import math
from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor

from regrob.claims.claim import Check, Claim, Counterexample, Derivation, Text, Verdict
from regrob.claims.instances import Draw, Instance, autograd_noise
from regrob.claims.quadratic import (
    Quadratic,
    bent_down,
    bounds,
    classifier_models,
    network_models,
    random_models,
)
from regrob.claims.statements.binary import printed_radius
from regrob.symbols import prove_sign, prove_zero
from regrob.theory import derivatives, probability, taylor_radius

CHAPTER = "book/lemma_3_1"


# --- the lower bound -------------------------------------------------------------------


def prove_lower(squared: int = 2) -> None:
    """gᵀr ≤ at and rᵀHr ≤ bt² for ‖r‖ = t, so the model stays below ξ until at + bt²/2 = ξ.

    Cauchy-Schwarz comes as at − gᵀr = ‖tg − ar‖²/(2at); Rayleigh as Σ(b − λ_i)r_i² ≥ 0.
    """
    a, b, t, xi = sp.symbols("a b t xi", positive=True)
    dot = sp.symbols("dot", real=True)
    square = t**2 * a**2 - 2 * t * a * dot + a**2 * t**2  # ‖tg − ar‖² with ‖g‖ = a, ‖r‖ = t
    prove_zero(a * t - dot - square / (2 * a * t), because="Cauchy-Schwarz, any n")
    gap, r_i = sp.symbols("gap", nonnegative=True), sp.symbols("r_i", real=True)  # b − λ_i
    prove_sign(gap * r_i**2, "nonnegative")
    rho = 2 * xi / (a + sp.sqrt(a**2 + squared * b * xi))
    prove_zero(a * rho + b * rho**2 / 2 - xi, because="the root reaches ξ")
    prove_sign(sp.diff(a * t + b * t**2 / 2, t), "positive")


def _below_excess(models: Callable[[Draw], Quadratic], stretch: float) -> Callable[[Draw], Tensor]:
    """The model at length `stretch`·(lower bound), towards g, u and near them: above ξ?"""

    def excess(draw: Draw) -> Tensor:
        model = models(draw)
        lower, _, u = bounds(model)
        generator = torch.Generator().manual_seed(draw.seed + 1)
        noise = torch.randn(u.shape, generator=generator, dtype=torch.float64).to(u)
        ahead = model.g / model.g.norm(dim=-1, keepdim=True).clamp_min(1e-300)
        found = []
        for r in (u, ahead + 1e-12 * u, u + ahead, noise, u + ahead + 0.3 * noise):
            r = r / r.norm(dim=-1, keepdim=True) * (stretch * lower)[:, None]
            found.append((model.at(r) - model.xi) / model.xi)
        return torch.cat(found)

    return excess


LOWER = Claim(
    id="lemma-3.1-lower",
    where="Lemma 3.1, Eq. (6), left",
    title="no step shorter than the lower root reaches the threshold",
    printed=(
        r"\frac{\|\nabla\|_2}{\|H\|_2}\left(\sqrt{1+\frac{2\|H\|_2\xi}{\|\nabla\|_2^2}}-1\right) \le "
        r"\|\mathbf r^*\|_2"
    ),
    corrected=(
        r"\frac{2\xi}{\|\nabla\|_2+\sqrt{\|\nabla\|_2^2+2\|H\|_2\xi}} \le \|\mathbf r^*\|_2 \text{ (the "
        r"same number, defined for } H = 0 \text{ and } \nabla = 0 \text{ too)}"
    ),
    text=Text.RESTATED,
    hypotheses=(
        "ξ > 0",
        "H symmetric, of any signature",
        "∇ and H not both zero",
        "‖r*‖₂ = ∞ where no step reaches β",
    ),
    chapter=CHAPTER,
    derivation=Derivation(prove_lower, lambda: prove_lower(4), "4 for 2 under the root"),
    checks=(
        Check(
            "random symmetric H: the model stays below ξ",
            _below_excess(lambda d: random_models(d, semidefinite=False), 1.0),
            _below_excess(lambda d: random_models(d, semidefinite=False), 1.05),
            "steps five per cent longer, some of which reach ξ",
        ),
        Check(
            "autograd's gradients and Hessians of networks",
            _below_excess(network_models, 1.0),
            _below_excess(network_models, 1.5),
            "steps half as long again",
        ),
    ),
)

# --- the upper bound -------------------------------------------------------------------


def prove_upper(sign: int = 1) -> None:
    """Along the top eigenvector the model is |gᵀu|t + λt²/2: its root is a feasible length.

    `sign = −1` takes an H that bends downwards as much as ‖H‖₂ says it bends upwards.
    """
    a, b, xi = sp.symbols("a b xi", positive=True)
    rho = 2 * xi / (a + sp.sqrt(a**2 + 2 * b * xi))
    prove_zero(a * rho + sign * b * rho**2 / 2 - xi, because="the root along u reaches ξ")
    printed = a / b * (sp.sqrt(1 + 2 * b * xi / a**2) - 1)
    prove_zero(printed - rho, because="Eq. (6)'s form and the rationalised one")


def _above_excess(models: Callable[[Draw], Quadratic]) -> Callable[[Draw], Tensor]:
    """The model a step of the upper bound along u: does it fall short of ξ?"""

    def excess(draw: Draw) -> Tensor:
        model = models(draw)
        _, upper, u = bounds(model)
        scale = model.xi + model.g.norm(dim=-1) * upper  # ∇ᵀu may cancel
        off: Tensor = (model.xi - model.at(u * upper[:, None])) / scale
        return off

    return excess


def counterexample_indefinite() -> Counterexample:
    """H = diag(1, −10), ∇ = (1, 0), ξ = 1: the nearest point is √3 − 1 away, beyond the bound.

    r₁ + r₁²/2 − 5r₂² ≥ 1 asks for r₁ + r₁²/2 ≥ 1, so |r₁| ≥ √3 − 1, and r₂ = 0 will do.
    """
    size, along, xi = sp.Integer(10), sp.Integer(1), sp.Integer(1)
    printed = along / size * (sp.sqrt(1 + 2 * size * xi / along**2) - 1)
    return Counterexample(
        r"H = \operatorname{diag}(1,-10),\ \nabla = (1,0),\ \xi = 1,\ \mathbf u = (1,0): \ \|\mathbf "
        r"r^*\|_2 \text{ against the upper bound}",
        sp.sqrt(3) - 1,
        "<=",
        printed,
    )


UPPER = Claim(
    id="lemma-3.1-upper",
    where="Lemma 3.1, Eq. (6), right",
    title="the root along the top eigenvector bounds the radius from above",
    printed=(
        r"\|\mathbf r^*\|_2 \le \frac{|\nabla^T\mathbf "
        r"u|}{\|H\|_2}\left(\sqrt{1+\frac{2\|H\|_2\xi}{|\nabla^T\mathbf u|^2}}-1\right)"
    ),
    corrected=(
        r"\text{with } \lambda_{\max}(H) > 0 \text{ in place of } \|H\|_2; \text{ the two agree where } H "
        r"\succeq 0, \text{ as every Hessian of this paper is}"
    ),
    text=Text.CORRECTED,
    hypotheses=("ξ > 0", "H ⪰ 0 and H ≠ 0, or λ_max(H) > 0 in place of ‖H‖₂"),
    chapter=CHAPTER,
    derivation=Derivation(prove_upper, lambda: prove_upper(-1), "curvature of the other sign"),
    checks=(
        Check(
            "random H ⪰ 0: a step of the bound along u reaches ξ",
            _above_excess(lambda d: random_models(d, semidefinite=True)),
            _above_excess(lambda d: random_models(d, semidefinite=False)),
            "indefinite H",
        ),
        Check(
            "autograd's gradients and Hessians of networks",
            _above_excess(network_models),
            _above_excess(lambda d: bent_down(network_models(d))),
            "the same Hessians with 20‖H‖₂ taken off every eigenvalue but the first",
        ),
    ),
    counterexample=counterexample_indefinite,
    expected=Verdict.FAILS,
)


MULTI = Claim(
    id="eq-33",
    where="Appendix E, Eq. (33)",
    title="the same two roots for K classes",
    printed=r"\text{Eq. (6) with } \xi = \log K - \mathcal L(\mathbf x, y)",
    hypotheses=("ξ > 0: y is the argmax, not all logits equal", "x off the kinks, so that H ⪰ 0", "H ≠ 0"),
    depends=("lemma-3.1-lower", "lemma-3.1-upper"),
    chapter=CHAPTER,
    checks=(
        Check(
            "lower bound, three and five classes",
            _below_excess(classifier_models, 1.0),
            _below_excess(classifier_models, 1.05),
            "steps five per cent longer",
        ),
        Check(
            "upper bound, three and five classes",
            _above_excess(classifier_models),
            _above_excess(lambda d: bent_down(classifier_models(d))),
            "Hessians bent downwards",
        ),
    ),
)

# --- monotone, and equal at K = 2 ------------------------------------------------------


def prove_decreasing(sign: int = 1) -> None:
    """∂ρ/∂a = −2ξ/(R(a + R)) and ∂ρ/∂b = −2ξ²/(R(a + R)²), R = √(a² + 2bξ): both negative."""
    a, b, xi = sp.symbols("a b xi", positive=True)
    R = sp.sqrt(a**2 + 2 * b * xi)
    rho = 2 * xi / (a + R)
    for by, slope in ((a, 2 * xi / (R * (a + R))), (b, 2 * xi**2 / (R * (a + R) ** 2))):
        prove_zero(sp.diff(rho, by) + sign * slope, because=f"∂ρ/∂{by}")
        prove_sign(slope, "positive")


def _decreasing_excess(sign: int) -> Callable[[Draw], Tensor]:
    def excess(draw: Draw) -> Tensor:
        generator = torch.Generator().manual_seed(draw.seed)
        a, b, xi, da, db = torch.exp(
            3 * torch.randn(5, draw.trials, generator=generator, dtype=torch.float64)
        )
        before, after = taylor_radius.positive_root(a, b, xi), taylor_radius.positive_root(a + da, b + db, xi)
        return sign * (after - before) / before

    return excess


DECREASING = Claim(
    id="eq-33-decreasing",
    where="Appendix E, between Eqs. (36) and (37)",
    title="the lower root falls as ‖∇‖₂ or ‖H‖₂ grows",
    printed=(
        r"\text{the lower bound in Eq. (33) is monotonically decreasing in } \|H\|_2 \text{ or } "
        r"\|\nabla\|_2"
    ),
    hypotheses=("ξ > 0",),
    depends=("eq-33",),
    chapter=CHAPTER,
    derivation=Derivation(prove_decreasing, lambda: prove_decreasing(-1), "increasing instead"),
    checks=(
        Check("larger a and b, smaller root", _decreasing_excess(1), _decreasing_excess(-1), "increasing"),
    ),
)


def prove_collapse(weight: int = 1) -> None:
    """H∇ = p_y q‖s‖²∇ in every coordinate, and Hr = 0 for r ⟂ s: no other nonzero eigenvalue.

    So |∇ᵀu| = ‖∇‖₂ = qν, and the root of both bounds is Proposition 3.1's.
    """
    p, q, s, S = sp.symbols("p q s S")  # one coordinate of s; S = sᵀs
    gradient = -q * s
    H_times_gradient = p * q * s * (-q * S)  # p q s (sᵀ∇)
    prove_zero(H_times_gradient - weight * p * q * S * gradient, because="H∇ = ‖H‖₂∇")
    prob, rival, nu, xi = sp.symbols("p q nu xi", positive=True)
    a, b = rival * nu, prob * rival * nu**2
    rho = 2 * xi / (a + sp.sqrt(a**2 + 2 * b * xi))
    radius = (sp.sqrt(1 + 2 * prob * xi / rival) - 1) / (prob * nu)
    prove_zero(rho - radius, because="both bounds are the radius")


def _collapse_excess(classes: int) -> Callable[[Draw], Tensor]:
    """Upper bound against lower bound, from V, z and y alone."""

    def excess(draw: Draw) -> Tensor:
        V, z, y = draw.instances(classes, high=8.0)
        g, H = derivatives.input_gradient(V, z, y), derivatives.hessian(V, z)
        lower, upper, _ = bounds(Quadratic(g, H, probability.slack(z, y, threshold=math.log(classes))))
        return (upper - lower) / lower

    return excess


def _against_radius(radius: Callable[[Instance], Tensor]) -> Callable[[Draw], Tensor]:
    def excess(draw: Draw) -> Tensor:
        found = []
        for s in draw.samples(2):
            keep = taylor_radius.has_taylor_radius(s.map.V, s.map.z, s.y) & (autograd_noise(s) < 1e4)
            instance = Instance(s.map.V[keep], s.map.z[keep], s.y[keep])
            xi = probability.slack(instance.z, instance.y)
            lower, upper, _ = bounds(Quadratic(s.autograd.gradient[keep], s.autograd.hessian[keep], xi))
            exact = radius(instance)
            found.append(torch.maximum((lower - exact).abs(), (upper - exact).abs()) / exact)
        return torch.cat(found)

    return excess


COLLAPSE = Claim(
    id="lemma-3.1-collapse",
    where="Section 3.1, below Lemma 3.1; Appendix B",
    title="with two classes both bounds are the radius itself",
    printed=(
        r"\text{the derived bounds collapse to the same expression in binary classification: } \mathbf u "
        r"= \pm\nabla/\|\nabla\|_2"
    ),
    hypotheses=("K = 2", "x off the kinks", "p_y > 1/2", "ν > 0"),
    depends=("lemma-3.1-lower", "lemma-3.1-upper", "lemma-3.2-gradient", "lemma-3.2-hessian"),
    chapter=CHAPTER,
    derivation=Derivation(prove_collapse, lambda: prove_collapse(2), "twice the eigenvalue"),
    checks=(
        Check("upper bound = lower bound", _collapse_excess(2), _collapse_excess(3), "three classes"),
        Check(
            "both, from autograd's ∇ and H, against Proposition 3.1",
            _against_radius(lambda i: taylor_radius.radius_l2(*i)),
            _against_radius(printed_radius),
            "Eq. (8) as printed",
            tolerance=1e-9,
        ),
    ),
)

CLAIMS = (LOWER, UPPER, COLLAPSE)
APPENDIX = (MULTI, DECREASING)
