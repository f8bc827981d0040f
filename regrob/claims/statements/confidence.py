"""Appendix G: what happens as ν grows. Eqs. (44), (45), the critical points, the radius."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from regrob.claims.claim import Check, Claim, Counterexample, Derivation, Text, Verdict
from regrob.claims.instances import Draw, Instance, Sample
from regrob.claims.statements.figure_3 import slope
from regrob.claims.statements.locally_affine import bias_free
from regrob.errors import ProofError
from regrob.symbols import prove_sign, prove_zero
from regrob.theory import derivatives, probability, taylor_radius
from regrob.theory.margin import margin_l2

CHAPTER = "book/four_penalties"
FIXED = ("K = 2", "no biases", "w̌ and γ = |w̌ᵀx| > 0 held fixed, so that |log p_y/(1 − p_y)| = γν")

CRITICAL_GRADIENT = float((1 + sp.LambertW(sp.exp(-1))).evalf(20))
"""νγ at which ‖∇‖₂² peaks, the root of (t − 1)eᵗ = 1: 1 + W(1/e) = 1.278."""

CRITICAL_CURVATURE = 2 * float(sp.nsolve(sp.Symbol("x") * sp.tanh(sp.Symbol("x")) - 1, 1.2, prec=20))
"""νγ at which ‖H‖₂ peaks: twice the root of x tanh x = 1, 2.399."""

# --- Eqs. (44), (45) -------------------------------------------------------------------


def printed_44(gamma: sp.Expr, nu: sp.Expr) -> sp.Expr:
    """The right-hand side of Eq. (44)."""
    return 2 * nu * (1 - (gamma * nu - 1) * sp.exp(gamma * nu)) / (1 + sp.exp(gamma * nu)) ** 3


def printed_45(gamma: sp.Expr, nu: sp.Expr) -> sp.Expr:
    """The right-hand side of Eq. (45)."""
    e = sp.exp(gamma * nu)
    return nu * (2 + gamma * nu - (gamma * nu - 2) * e) * e / (1 + e) ** 3


def prove_44(label: int = 1) -> None:
    """Differentiate ν²q², q = 1/(1 + e^{γν}); `label = −1` is a misclassified point."""
    gamma, nu = sp.symbols("gamma nu", positive=True)
    penalty = nu**2 / (1 + sp.exp(label * gamma * nu)) ** 2
    prove_zero(sp.diff(penalty, nu) - printed_44(gamma, nu), because="Eq. (44)")


def prove_45(power: int = 1) -> None:
    """Differentiate ν²pq, which is the same for a right and a wrong label."""
    gamma, nu = sp.symbols("gamma nu", positive=True)
    e = sp.exp(gamma * nu)
    penalty = nu**2 * e**power / (1 + e) ** 2
    prove_zero(sp.diff(penalty, nu) - printed_45(gamma, nu), because="Eq. (45)")


def _scaled_excess(
    penalty: Callable[[Tensor, Tensor, Tensor], Tensor], formula: Callable[[Tensor], Tensor], *, correct: bool
) -> Callable[[Draw], Tensor]:
    """Scale a bias-free classifier by t and differentiate in t: ν ∂/∂ν, at γ fixed.

    `formula` is the claimed ν ∂/∂ν of the penalty over ν², as a function of νγ = |m|.
    """

    def one(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
        nu = derivatives.cross_lipschitz(V)
        # Autograd's softmax loses 1/q, differences of large columns lose ‖V‖/ν.
        noise = V.abs().amax(dim=(1, 2)) / nu / probability.rival_probability(z, z.argmax(dim=-1))
        V = V / nu[:, None, None]  # in units of ν: the same γν
        t = torch.ones(y.shape, dtype=torch.float64)
        measured = slope(lambda t: penalty(t[:, None, None] * V, t[:, None] * z, y), t)
        claimed = formula(probability.logit_margin(z, y).abs())
        return (measured - claimed).abs() / (measured.abs() + penalty(V, z, y)) / (1 + noise)

    def excess(draw: Draw) -> Tensor:
        V, z, y = draw.instances(2, high=6.0)
        return one(V, z, y if correct else 1 - y)

    return excess


def _gradient_formula(t: Tensor) -> Tensor:
    """Eq. (44) times 1/ν, at νγ = t."""
    return 2 * (1 - (t - 1) * t.exp()) / (1 + t.exp()) ** 3


def _curvature_formula(t: Tensor) -> Tensor:
    """Eq. (45) times 1/ν, at νγ = t."""
    return (2 + t - (t - 2) * t.exp()) * t.exp() / (1 + t.exp()) ** 3


def _gradient_penalty(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    return derivatives.input_gradient(V, z, y).square().sum(dim=-1)


def _curvature_penalty(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    largest: Tensor = torch.linalg.eigvalsh(derivatives.hessian(V, z))[..., -1]
    return largest


def _network_44(*, correct: bool) -> Callable[[Draw], Tensor]:
    """Scale a bias-free network's logits by t and let autograd differentiate ‖∇_x L‖² in t."""

    def one(s: Sample) -> Tensor:
        right = probability.correctly_classified(s.map.z, s.y)
        images, y = s.images[right], s.y[right] if correct else 1 - s.y[right]
        t = torch.ones(y.shape, dtype=torch.float64, requires_grad=True)
        x = images.detach().clone().requires_grad_(True)
        with torch.enable_grad():
            loss = cross_entropy(t[:, None] * s.network(x), y, reduction="sum")
            (g,) = torch.autograd.grad(loss, x, create_graph=True)
            penalty: Tensor = g.flatten(1).square().sum(dim=1)
            (measured,) = torch.autograd.grad(penalty.sum(), t)
        nu2 = derivatives.cross_lipschitz(s.autograd.jacobian[right]).square()
        claimed = nu2 * _gradient_formula(probability.logit_margin(s.map.z[right], y).abs())
        off: Tensor = (measured - claimed).abs() / (measured.abs() + penalty.detach())
        return off

    return lambda draw: torch.cat([one(s) for s in draw.samples(2) if bias_free(s)])


def counterexample_44() -> Counterexample:
    """γ = ν = 1 and the wrong label: ‖∇‖₂² = ν²/(1 + e^{−γν})², whose slope is another one."""
    gamma, nu = sp.symbols("gamma nu", positive=True)
    here = {gamma: 1, nu: 1}
    truth = sp.diff(nu**2 / (1 + sp.exp(-gamma * nu)) ** 2, nu).subs(here)
    return Counterexample(
        r"\gamma = \nu = 1, \text{ misclassified}: \ \partial\|\nabla\|_2^2/\partial\nu \text{ "
        r"against the printed right-hand side}",
        truth,
        "=",
        printed_44(gamma, nu).subs(here),
    )


EQ_44 = Claim(
    id="eq-44",
    where="Appendix G, Eq. (44)",
    title="how the input-gradient penalty moves with ν",
    printed=(
        r"\frac{\partial\|\nabla\|_2^2}{\partial\nu} = "
        r"\frac{2\nu(1-(\gamma\nu-1)e^{\gamma\nu})}{(1+e^{\gamma\nu})^3}"
    ),
    corrected=(
        r"\text{for correctly classified points; otherwise } \|\nabla\|_2^2 \text{ grows with } \nu "
        r"\text{ throughout}"
    ),
    text=Text.CORRECTED,
    hypotheses=(*FIXED, "correctly classified"),
    depends=("eq-11",),
    chapter=CHAPTER,
    derivation=Derivation(prove_44, lambda: prove_44(-1), "a misclassified point"),
    checks=(
        Check(
            "autograd in the scale of random classifiers",
            _scaled_excess(_gradient_penalty, _gradient_formula, correct=True),
            _scaled_excess(_gradient_penalty, _gradient_formula, correct=False),
            "misclassified points",
        ),
        Check(
            "autograd through a network without biases",
            _network_44(correct=True),
            _network_44(correct=False),
            "misclassified points",
        ),
    ),
    counterexample=counterexample_44,
    partly=True,
    expected=Verdict.PARTLY,
)

EQ_45 = Claim(
    id="eq-45",
    where="Appendix G, Eq. (45)",
    title="how the curvature penalty moves with ν",
    printed=(
        r"\frac{\partial\|H\|_2}{\partial\nu} = "
        r"\frac{\nu(2+\gamma\nu-(\gamma\nu-2)e^{\gamma\nu})e^{\gamma\nu}}{(1+e^{\gamma\nu})^3}"
    ),
    hypotheses=(*FIXED, "any label"),
    depends=("eq-11",),
    chapter=CHAPTER,
    derivation=Derivation(prove_45, lambda: prove_45(2), "p² in place of p"),
    checks=(
        Check(
            "autograd in the scale of random classifiers, any label",
            _scaled_excess(_curvature_penalty, _curvature_formula, correct=False),
            _scaled_excess(_gradient_penalty, _curvature_formula, correct=False),
            "the other penalty",
        ),
    ),
)

# --- the critical points ---------------------------------------------------------------


def prove_critical(shift: sp.Expr | int = 0) -> None:
    """One root each: h = 1 − (t − 1)eᵗ has h' = −teᵗ < 0; x tanh x grows from 0 to ∞.

    (44) vanishes where (t − 1)eᵗ = 1; (45) where (t − 2)eᵗ = t + 2, which is x tanh x = 1
    at x = t/2. Both roots then lie within half a unit of the paper's second decimal.
    """
    t, x = sp.symbols("t x", positive=True)
    h = 1 - (t - 1) * sp.exp(t)
    prove_sign(-sp.diff(h, t), "positive")
    w = sp.symbols("w", positive=True)  # W(1/e): w eʷ = 1/e
    at_root = sp.expand(h.subs(t, 1 + w + shift), power_exp=True).subs(sp.exp(w), sp.exp(-1) / w)
    if sp.expand(at_root) != 0:
        raise ProofError(f"1 + W(1/e) is not the root: {at_root} is left")
    k = (2 + t - (t - 2) * sp.exp(t)).subs(t, 2 * x)
    # x tanh x − 1, times −2(eˣ + e⁻ˣ)eˣ
    bridge = -2 * (x * (sp.exp(x) - sp.exp(-x)) - (sp.exp(x) + sp.exp(-x))) * sp.exp(x)
    prove_zero(k - bridge, because="(45)'s numerator is x tanh x − 1, but for a positive factor")
    climbs = sp.tanh(x) + x / sp.cosh(x) ** 2
    prove_zero(sp.diff(x * sp.tanh(x), x) - climbs)
    prove_sign(climbs, "positive", certificate=climbs)
    for f, root in ((h, sp.Rational(128, 100)), (k.subs(x, t / 2), sp.Rational(240, 100))):
        margin = sp.Rational(5, 1000)
        for value in (f.subs(t, root - margin), -f.subs(t, root + margin)):
            prove_sign(value, "positive", certificate=value)


def _critical_excess(at: float, formula: Callable[[Tensor], Tensor]) -> Callable[[Draw], Tensor]:
    """Rising up to the critical point, falling after it: the sign of the slope on either side."""

    def excess(draw: Draw) -> Tensor:
        generator = torch.Generator().manual_seed(draw.seed)
        u = torch.rand(draw.trials, generator=generator, dtype=torch.float64)
        before, after = at * (1 - u), at * (1 + 20 * u)
        scale = (1 + after) * torch.exp(-after)
        return torch.maximum(-formula(before), formula(after) / scale)

    return excess


CRITICAL = Claim(
    id="remark-critical-points",
    where="Appendix G, below Eq. (45)",
    title="the critical points 1.28/γ and 2.40/γ",
    printed=(
        r"\partial\|\nabla\|_2^2/\partial\nu = 0 \text{ at } \nu = 1.28/\gamma, \qquad "
        r"\partial\|H\|_2/\partial\nu = 0 \text{ at } \nu = 2.40/\gamma"
    ),
    corrected=(
        r"\nu\gamma = 1+W(1/e) \quad\text{and}\quad \nu\gamma = 2x \text{ with } x\tanh x = 1; \text{ "
        r"each the only one}"
    ),
    text=Text.RESTATED,
    hypotheses=(*FIXED, "correctly classified"),
    depends=("eq-44", "eq-45"),
    chapter=CHAPTER,
    derivation=Derivation(prove_critical, lambda: prove_critical(1), "the root moved by one"),
    checks=(
        Check(
            "(44) changes sign there, once",
            _critical_excess(CRITICAL_GRADIENT, _gradient_formula),
            _critical_excess(CRITICAL_CURVATURE, _gradient_formula),
            "the other critical point",
        ),
        Check(
            "(45) changes sign there, once",
            _critical_excess(CRITICAL_CURVATURE, _curvature_formula),
            _critical_excess(CRITICAL_GRADIENT, _curvature_formula),
            "the other critical point",
        ),
    ),
)

# --- r* against ν (new) ----------------------------------------------------------------


def prove_growth(sign: int = 1) -> None:
    """τ'(m) = 1 + ½(2p − 1)τ·pτ/(1 + pτ): a product of growing factors, so τ is convex.

    τ(0) = 0 and τ strictly convex make τ(m)/m strictly increasing; ‖r*‖ = γτ(m)/m.
    """
    p, tau, x, t = sp.symbols("p tau x t", positive=True)
    rate = 1 + p * (2 * p - 1) * tau**2 / (2 * (1 + p * tau))
    factors = 1 + sp.Rational(1, 2) * (2 * p - 1) * tau * (p * tau / (1 + p * tau))
    prove_zero(rate - factors, because="the factors")
    prove_sign(sign * sp.factor(sp.diff(x / (1 + x), x)), "positive")
    prove_sign(sp.diff(2 * p - 1, p), "positive")
    # (τ/m)' = (mτ' − τ)/m², and (mτ' − τ)' = mτ'' > 0
    f = sp.Function("tau")(t)
    prove_zero(sp.diff(t * sp.diff(f, t) - f, t) - t * sp.diff(f, t, 2))


def _growth_excess(sign: int) -> Callable[[Draw], Tensor]:
    """Scale V and z of one instance: the Taylor radius must grow, the true margin must stay."""

    def excess(draw: Draw) -> Tensor:
        V, z, y = draw.instances(2, low=0.3, high=8.0)
        before, after = Instance(V, z, y), Instance(2 * V, 2 * z, y)
        grown = sign * (1 - taylor_radius.radius_l2(*after) / taylor_radius.radius_l2(*before))
        still = (margin_l2(*after) / margin_l2(*before) - 1).abs()
        return torch.maximum(grown, still)

    return excess


GROWTH = Claim(
    id="thm-radius-and-nu",
    where="new, on the last sentence of Appendix G",
    title="at fixed γ the Taylor radius grows with ν, and the true margin does not move",
    printed=(
        r"\|\mathbf r^*\|_2 = \gamma\,\tau(\nu\gamma)/(\nu\gamma) \text{ increases strictly with } \nu, "
        r"\text{ while } d = \gamma"
    ),
    text=Text.NEW,
    hypotheses=(*FIXED, "correctly classified"),
    depends=("prop-3.1", "thm-taylor-overshoots"),
    chapter=CHAPTER,
    derivation=Derivation(prove_growth, lambda: prove_growth(-1), "a falling factor"),
    checks=(
        Check(
            "twice the scale, a larger radius, the same margin",
            _growth_excess(1),
            _growth_excess(-1),
            "a smaller one",
        ),
    ),
)

CLAIMS = (EQ_44, EQ_45, CRITICAL, GROWTH)
