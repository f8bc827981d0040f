"""The nearest mistake: Eq. (1), the threshold log 2, and Lemma 3.1's two roots around the Taylor radius.

Eqs. (6) and (33), how the roots move, and when they are equal.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import sympy as sp
import torch
from torch import Tensor
from torch.nn import functional

from regrob.claims.claim import Claim, Counterexample, Verdict
from regrob.claims.combinators import check, checked, on_networks, proof
from regrob.claims.hypotheses import BINARY, DISTINCT, OFF_KINKS_SHORT
from regrob.claims.instances import Draw, Excess, Instance, Sample, model_gain, unit
from regrob.claims.statements.proposition_3_1 import printed_radius, prove_cauchy_schwarz
from regrob.symbols import prove_equal, prove_sign, prove_zero
from regrob.theory import derivatives, probability, taylor_radius
from regrob.theory.margin import margin_l2

statement = functools.partial(Claim, chapter="book/lemma_3_1")

# --- Eq. (1): the nearest mistake ------------------------------------------------------


def prove_nearest(factor: int = 1) -> None:
    """‖r‖² − c²/‖w‖² = ‖r − (c/‖w‖²)w‖² + 2ce/‖w‖² for wᵀr = c + e: no nearer point, any n.

    For K classes the mistakes are a union of half-spaces, so the nearest is the nearest
    of their nearest points.
    """
    R, W, c = sp.symbols("R W c", positive=True)  # ‖r‖², ‖w‖², the gap between two logits
    e = sp.symbols("e", nonnegative=True)
    square = R - 2 * c / W * (c + e) + (c / W) ** 2 * W
    prove_zero(R - factor * c**2 / W - square - 2 * c * e / W, because="completing the square")
    prove_sign(2 * c * e / W, "nonnegative")


def nearest_rival(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """v_j − v_y for the class j whose boundary with y is nearest: (T, n)."""
    gap = z.gather(-1, y.unsqueeze(-1)) - z
    towards = V - derivatives.column(V, y)
    length = towards.norm(dim=-2)
    distance = torch.where(length > 0, gap / length, torch.inf)
    nearest = distance.scatter(-1, y.unsqueeze(-1), torch.inf).argmin(dim=-1)
    return derivatives.column(towards, nearest).squeeze(-1)


def lead_after_step(draw: Draw, stretch: float = 1 + 1e-8, lean: float = 0.0) -> Tensor:
    """The label's relative lead after a step of `stretch`·d at the nearest rival, or `lean` away from it."""
    instance = draw.instances(4)
    w, label = nearest_rival(*instance), instance.y.unsqueeze(-1)
    r = unit(unit(w) + lean * draw.normal(*w.shape, stream=1))
    moved = instance.moved(stretch * margin_l2(*instance)[:, None] * r)
    lead = moved.gather(-1, label).squeeze(-1) - moved.scatter(-1, label, -torch.inf).amax(dim=-1)
    return lead / moved.abs().amax(dim=-1)


EQ_1 = statement(
    id="eq-1-deepfool",
    where="Section 2.1, Eq. (1)",
    title="DeepFool's step is the shortest for a linear model",
    printed=r"\min_{\mathbf r}\|\mathbf r\|_2 \text{ s.t. } \operatorname{argmax}_k g(\mathbf x+\mathbf r)_k \ne \operatorname{argmax}_k g(\mathbf x)_k \text{ is solved by DeepFool for any linear model}",
    corrected=r"\inf\{\|\mathbf r\|_2\} = \min_{j\ne y} \frac{z_y - z_j}{\|\mathbf v_y - \mathbf v_j\|_2}; \text{ an infimum, as the boundary itself is a tie}",
    restated=True,
    hypotheses=(
        "affine classifier, any K",
        "y the one largest logit",
        "the minimum over rivals with v_j ≠ v_y; no other can overtake",
        "no box constraint",
    ),
    derivation=proof(prove_nearest, wrong=2, mistake="twice the squared distance"),
    checks=(
        check(
            "a step a hair longer than d changes the class",
            lead_after_step,
            wrong=0.99,
            mistake="a step one per cent shorter",
        ),
        check(
            "no shorter step does, in directions near the best",
            lambda draw, stretch=1.0: -lead_after_step(draw, stretch, lean=0.01),
            wrong=1.05,
            mistake="steps five per cent longer, some of which do",
        ),
    ),
)

# --- the threshold ---------------------------------------------------------------------


def prove_threshold(beta: sp.Expr | None = None) -> None:
    """L = log(1 + e^{−m}) falls strictly in m and equals log 2 at m = 0, which is p_y = 1/2."""
    m = sp.symbols("m", real=True)
    L = sp.log(1 + sp.exp(-m))
    prove_sign(-sp.diff(L, m).rewrite(sp.exp), "positive")
    prove_equal(L.subs(m, 0), sp.log(2) if beta is None else beta, because="the loss at the boundary")


@checked("L < log 2 where and only where y has the larger logit", wrong=3, mistake="the threshold log 3")
def wrong_side(draw: Draw, threshold: int = 2) -> Tensor:
    """How far the loss is on the wrong side of log `threshold`, given which logit is the larger one."""
    instance = draw.instances(2, correct=False)
    loss = functional.cross_entropy(instance.z, instance.y, reduction="none")
    return -instance.m.sign() * (math.log(threshold) - loss)


BETA = statement(
    id="remark-beta",
    where="Section 3.1, above Lemma 3.1",
    title="with two classes the loss crosses log 2 at the boundary",
    printed=r"\text{with the cross-entropy, } \beta = \log 2 \text{ separates correct from incorrect}",
    hypotheses=(BINARY,),
    derivation=proof(prove_threshold, wrong=sp.log(3), mistake="the threshold log 3"),
    checks=(wrong_side,),
)

# --- quadratic models ------------------------------------------------------------------


class Quadratic(NamedTuple):
    """T quadratic models ξ(r) = gᵀr + rᵀHr/2 with a target ξ > 0: (T, n), (T, n, n), (T,)."""

    g: Tensor
    H: Tensor
    xi: Tensor

    def at(self, r: Tensor) -> Tensor:
        """The model's value at r (T, n): (T,)."""
        return model_gain(self.g, self.H, r)


def random_models(draw: Draw, semidefinite: bool = True) -> Quadratic:
    """Gradients and symmetric matrices of every scale; some of rank one, some with g ⟂ u.

    Every matrix bends upwards somewhere; a semidefinite one nowhere downwards.
    """
    generator = torch.Generator().manual_seed(draw.seed)
    T, n = draw.trials, 4

    def normal(*shape: int) -> Tensor:
        return torch.randn(T, *shape, generator=generator, dtype=torch.float64)

    def scale() -> Tensor:
        return torch.exp(4 * normal(1))

    basis = torch.linalg.qr(normal(n, n)).Q
    eigenvalues = normal(n)
    if semidefinite:
        eigenvalues = eigenvalues.abs()
    else:
        eigenvalues[:, -1] = eigenvalues[:, -1].abs()  # one curved upwards, so that r* exists
    g = normal(n) * scale()
    kind = torch.randint(4, (T,), generator=generator)
    eigenvalues[kind == 0, :-1] = 0.0  # rank one
    orthogonal = g - (g * basis[..., -1]).sum(dim=-1, keepdim=True) * basis[..., -1]
    g = torch.where((kind == 1)[:, None], orthogonal, g)
    eigenvalues = eigenvalues * scale()
    H = basis @ torch.diag_embed(eigenvalues) @ basis.mT
    xi = torch.rand(T, generator=generator, dtype=torch.float64) + 1e-3
    return Quadratic(g.to(draw.device), H.to(draw.device), xi.to(draw.device))


def stack(models: list[Quadratic]) -> Quadratic:
    """All models, one after the other."""
    return Quadratic(*(torch.cat(parts) for parts in zip(*models, strict=True)))


def classifier_model(instance: Instance) -> Quadratic:
    """A classifier's quadratic model of its loss, with β = log K: Eq. (33)."""
    xi = probability.slack(instance.z, instance.y)
    return Quadratic(instance.gradient, instance.hessian, xi)


def classifier_models(draw: Draw, bent: bool = False) -> Quadratic:
    """The models of random classifiers with three and five classes, or these `bent_down`."""
    models = stack([classifier_model(draw.instances(K, inputs=4, high=20.0)) for K in (3, 5)])
    return bent_down(models) if bent else models


def network_models(draw: Draw, bent: bool = False) -> Quadratic:
    """The same from autograd's gradients and Hessians, padded to one n with zeros."""
    models = []
    for s in draw.samples(3):
        xi = probability.slack(s.map.z, s.y)
        keep = (xi > 1e-3) & probability.correctly_classified(s.map.z, s.y) & (s.noise < 1e4)
        zeros = 36 - s.autograd.gradient.shape[-1]
        g = functional.pad(s.autograd.gradient[keep], (0, zeros))
        H = functional.pad(s.autograd.hessian[keep], (0, zeros, 0, zeros))
        models.append(Quadratic(g, H, xi[keep]))
    return bent_down(stack(models)) if bent else stack(models)


def bounds(model: Quadratic) -> tuple[Tensor, Tensor, Tensor]:
    """Both sides of Eq. (6) in the rationalised form, and u: (T,), (T,), (T, n).

    ‖H‖₂ is the largest eigenvalue in absolute value, as the paper's symbol says.
    """
    values, vectors = torch.linalg.eigh(model.H)
    size, u = values.abs().amax(dim=-1), vectors[..., -1]
    along = (model.g * u).sum(dim=-1)
    u = u * torch.where(along < 0, -1.0, 1.0)[:, None]
    lower = taylor_radius.positive_root(model.g.norm(dim=-1), size, model.xi)
    return lower, taylor_radius.positive_root(along.abs(), size, model.xi), u


def bent_down(model: Quadratic) -> Quadratic:
    """The same models with 20‖H‖₂ taken off every eigenvalue but the first: a tooth's material."""
    values, vectors = torch.linalg.eigh(model.H)
    bent = values - 20 * values[:, -1:]
    bent[:, -1] = values[:, -1]
    return model._replace(H=vectors @ torch.diag_embed(bent) @ vectors.mT)


# --- the lower bound -------------------------------------------------------------------


def root(a: sp.Expr, b: sp.Expr, xi: sp.Expr, double: int = 2) -> sp.Expr:
    """The length at which a t + b t²/2 reaches ξ, in the rationalised form; 2 is `double`."""
    return 2 * xi / (a + sp.sqrt(a**2 + double * b * xi))


def prove_root(double: int = 2) -> None:
    """t = 2ξ/(a + √(a² + 2bξ)) solves at + bt²/2 = ξ, and the left side grows with t."""
    a, b, t, xi = sp.symbols("a b t xi", positive=True)
    rho = root(a, b, xi, double)
    prove_zero(a * rho + b * rho**2 / 2 - xi, because="the root reaches ξ")
    prove_sign(sp.diff(a * t + b * t**2 / 2, t), "positive")


def prove_lower(double: int = 2) -> None:
    """gᵀr ≤ at and rᵀHr ≤ bt² for ‖r‖ = t, so the model stays below ξ until at + bt²/2 = ξ.

    The first is Cauchy-Schwarz; Rayleigh's comes as Σ(b − λ_i)r_i² ≥ 0.
    """
    prove_cauchy_schwarz()
    gap, r_i = sp.symbols("gap", nonnegative=True), sp.symbols("r_i", real=True)  # b − λ_i
    prove_sign(gap * r_i**2, "nonnegative")
    prove_root(double)


def lower_bound_excess(models: Callable[[Draw], Quadratic]) -> Excess:
    """The model at length `stretch`·(lower bound), towards g, u and near them, against ξ."""

    def excess(draw: Draw, stretch: float = 1.0) -> Tensor:
        model = models(draw)
        lower, _, u = bounds(model)
        noise = draw.normal(*u.shape, stream=1)
        ahead = model.g / model.g.norm(dim=-1, keepdim=True).clamp_min(1e-300)
        beyond = []
        for r in (u, ahead + 1e-12 * u, u + ahead, noise, u + ahead + 0.3 * noise):
            r = unit(r) * (stretch * lower)[:, None]
            beyond.append((model.at(r) - model.xi) / model.xi)
        return torch.cat(beyond)

    return excess


LOWER = statement(
    id="lemma-3.1-lower",
    where="Lemma 3.1, Eq. (6), left",
    title="no step shorter than the lower root reaches the threshold",
    printed=r"\frac{\|\nabla\|_2}{\|H\|_2}\left(\sqrt{1+\frac{2\|H\|_2\xi}{\|\nabla\|_2^2}}-1\right) \le \|\mathbf r^*\|_2",
    corrected=r"\frac{2\xi}{\|\nabla\|_2+\sqrt{\|\nabla\|_2^2+2\|H\|_2\xi}} \le \|\mathbf r^*\|_2 \text{ (the same number, defined for } H = 0 \text{ and } \nabla = 0 \text{ too)}",
    restated=True,
    hypotheses=(
        "ξ > 0",
        "H symmetric, of any signature",
        "∇ and H not both zero",
        "‖r*‖₂ = ∞ where no step reaches β",
    ),
    derivation=proof(prove_lower, wrong=4, mistake="4 for 2 under the root"),
    checks=(
        check(
            "random symmetric H: the model stays below ξ",
            lower_bound_excess(functools.partial(random_models, semidefinite=False)),
            wrong=1.05,
            mistake="steps five per cent longer, some of which reach ξ",
        ),
        check(
            "autograd's gradients and Hessians of networks",
            lower_bound_excess(network_models),
            wrong=1.5,
            mistake="steps half as long again",
        ),
    ),
)

# --- the upper bound -------------------------------------------------------------------


def prove_upper(sign: int = 1) -> None:
    """Along the top eigenvector the model is |gᵀu|t + λt²/2: its root is a feasible length.

    `sign = −1` takes an H that bends downwards as much as ‖H‖₂ says it bends upwards.
    """
    a, b, xi = sp.symbols("a b xi", positive=True)
    rho = root(a, b, xi)
    prove_zero(a * rho + sign * b * rho**2 / 2 - xi, because="the root along u reaches ξ")
    printed = a / b * (sp.sqrt(1 + 2 * b * xi / a**2) - 1)
    prove_zero(printed - rho, because="Eq. (6)'s form and the rationalised one")


def upper_bound_excess(models: Callable[..., Quadratic]) -> Excess:
    """How far the model falls short of ξ after a step of the upper bound along u."""

    def excess(draw: Draw, *choice: bool) -> Tensor:
        model = models(draw, *choice)
        _, upper, u = bounds(model)
        scale = model.xi + model.g.norm(dim=-1) * upper  # ∇ᵀu may cancel
        shortfall: Tensor = (model.xi - model.at(u * upper[:, None])) / scale
        return shortfall

    return excess


def counterexample_indefinite() -> Counterexample:
    """H = diag(1, −10), ∇ = (1, 0), ξ = 1: the nearest point is √3 − 1 away, beyond the bound.

    r₁ + r₁²/2 − 5r₂² ≥ 1 asks for r₁ + r₁²/2 ≥ 1, so |r₁| ≥ √3 − 1, and r₂ = 0 will do.
    """
    size, along, xi = sp.Integer(10), sp.Integer(1), sp.Integer(1)
    printed = along / size * (sp.sqrt(1 + 2 * size * xi / along**2) - 1)
    return Counterexample(
        r"H = \operatorname{diag}(1,-10),\ \nabla = (1,0),\ \xi = 1,\ \mathbf u = (1,0): \ \|\mathbf r^*\|_2 \text{ against the upper bound}",
        sp.sqrt(3) - 1,
        "<=",
        printed,
    )


UPPER = statement(
    id="lemma-3.1-upper",
    where="Lemma 3.1, Eq. (6), right",
    title="the root along the top eigenvector bounds the radius from above",
    printed=r"\|\mathbf r^*\|_2 \le \frac{|\nabla^T\mathbf u|}{\|H\|_2}\left(\sqrt{1+\frac{2\|H\|_2\xi}{|\nabla^T\mathbf u|^2}}-1\right)",
    corrected=r"\text{with } \lambda_{\max}(H) > 0 \text{ in place of } \|H\|_2; \text{ the two agree where } H \succeq 0, \text{ as every Hessian of this paper is}",
    hypotheses=("ξ > 0", "H ⪰ 0 and H ≠ 0, or λ_max(H) > 0 in place of ‖H‖₂"),
    derivation=proof(prove_upper, wrong=-1, mistake="curvature of the other sign"),
    checks=(
        check(
            "random H ⪰ 0: a step of the bound along u reaches ξ",
            upper_bound_excess(random_models),
            wrong=False,
            mistake="indefinite H",
        ),
        check(
            "autograd's gradients and Hessians of networks",
            upper_bound_excess(network_models),
            wrong=True,
            mistake="the same Hessians with 20‖H‖₂ taken off every eigenvalue but the first",
        ),
    ),
    counterexample=counterexample_indefinite,
    expected=Verdict.FAILS,
)


MULTI = statement(
    id="eq-33",
    where="Appendix E, Eq. (33)",
    title="the same two roots for K classes",
    printed=r"\text{Eq. (6) with } \xi = \log K - \mathcal L(\mathbf x, y)",
    hypotheses=("ξ > 0: y is the argmax, not all logits equal", "x off the kinks, so that H ⪰ 0", "H ≠ 0"),
    depends=("lemma-3.1-lower", "lemma-3.1-upper"),
    checks=(
        check(
            "lower bound, three and five classes",
            lower_bound_excess(classifier_models),
            wrong=1.05,
            mistake="steps five per cent longer",
        ),
        check(
            "upper bound, three and five classes",
            upper_bound_excess(classifier_models),
            wrong=True,
            mistake="Hessians bent downwards",
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


def growth(draw: Draw, sign: int = 1) -> Tensor:
    """By how much the root grows, relatively, as ‖∇‖₂ and ‖H‖₂ grow; `sign` −1: shrinks."""
    a, b, xi, da, db = torch.exp(3 * draw.normal(5, draw.trials))
    before, after = taylor_radius.positive_root(a, b, xi), taylor_radius.positive_root(a + da, b + db, xi)
    return sign * (after - before) / before


DECREASING = statement(
    id="eq-33-decreasing",
    where="Appendix E, between Eqs. (36) and (37)",
    title="the lower root falls as ‖∇‖₂ or ‖H‖₂ grows",
    printed=r"\text{the lower bound in Eq. (33) is monotonically decreasing in } \|H\|_2 \text{ or } \|\nabla\|_2",
    hypotheses=("ξ > 0",),
    depends=("eq-33",),
    derivation=proof(prove_decreasing, wrong=-1, mistake="increasing instead"),
    checks=(check("larger a and b, smaller root", growth, wrong=-1, mistake="increasing"),),
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
    rho = root(a, b, xi)
    radius = (sp.sqrt(1 + 2 * prob * xi / rival) - 1) / (prob * nu)
    prove_zero(rho - radius, because="both bounds are the radius")


def bounds_gap(draw: Draw, classes: int = 2) -> Tensor:
    """Upper bound against lower bound, from V, z and y alone."""
    lower, upper, _ = bounds(classifier_model(draw.instances(classes, high=8.0)))
    return (upper - lower) / lower


@checked(
    "both, from autograd's ∇ and H, against Proposition 3.1",
    wrong=printed_radius,
    mistake="Eq. (8) as printed",
    tolerance=1e-9,
)
@on_networks
def radius_error(s: Sample, radius: Callable[..., Tensor] = taylor_radius.radius_l2) -> Tensor:
    """Both bounds, from autograd's ∇ and H, against a closed form of the radius."""
    keep = taylor_radius.has_taylor_radius(*s.instance) & (s.noise < 1e4)
    instance = s.instance.where(keep)
    lower, upper, _ = bounds(Quadratic(instance.gradient, instance.hessian, instance.xi))
    exact = radius(*instance)
    return torch.maximum((lower - exact).abs(), (upper - exact).abs()) / exact


COLLAPSE = statement(
    id="lemma-3.1-collapse",
    where="Section 3.1, below Lemma 3.1; Appendix B",
    title="with two classes both bounds are the radius itself",
    printed=r"\text{the derived bounds collapse to the same expression in binary classification: } \mathbf u = \pm\nabla/\|\nabla\|_2",
    hypotheses=(BINARY, OFF_KINKS_SHORT, "p_y > 1/2", DISTINCT),
    depends=("lemma-3.1-lower", "lemma-3.1-upper", "lemma-3.2-gradient", "lemma-3.2-hessian"),
    derivation=proof(prove_collapse, wrong=2, mistake="twice the eigenvalue"),
    checks=(check("upper bound = lower bound", bounds_gap, wrong=3, mistake="three classes"), radius_error),
)

SECTION_2 = (EQ_1,)
CLAIMS = (BETA, LOWER, UPPER, COLLAPSE)
APPENDIX = (MULTI, DECREASING)
