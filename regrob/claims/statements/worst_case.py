"""Proposition 3.3 and Eqs. (24), (25): the model's worst case in the ℓ∞ ball, and what it bounds."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor

from regrob.claims.claim import Check, Claim, Counterexample, Derivation, Text, Verdict
from regrob.claims.instances import Draw, Instance, Sample, autograd_noise, relative
from regrob.claims.statements.linf import BINARY, CHAPTER, CORRECT, OFF_KINKS, corners, model_gain
from regrob.symbols import prove_equal, prove_sign, prove_zero
from regrob.theory import derivatives, probability, taylor_radius


def prove_worst(halves: int = 1) -> None:
    """t ↦ t + (p/2q)t² over |t| ≤ ε‖∇‖₁ is largest at t = +ε‖∇‖₁, whatever the sign of m."""
    p, q, G, S, epsilon = sp.symbols("p q G S epsilon", positive=True)
    back, room = sp.symbols("back room", nonnegative=True)  # t = εG − room, εG + t = back
    t = epsilon * G - room
    gain = (epsilon * G + p / (2 * q) * (epsilon * G) ** 2) - (t + p / (2 * q) * t**2)
    certificate = room + p / (2 * q) * room * back
    prove_zero(gain - certificate.subs(back, 2 * epsilon * G - room), because="the gap")
    prove_sign(certificate, "nonnegative")
    in_G = epsilon * G + p / (2 * q) * (epsilon * G) ** 2
    prove_equal(in_G.subs(G, q * S), epsilon * q * S + halves * epsilon**2 * p * q * S**2 / 2)


def _worst_excess(eta: Callable[[Instance, float], Tensor]) -> Callable[[Draw], Tensor]:
    """η* against the best of the 2^n corners; labels at random, right and wrong."""

    def excess(draw: Draw) -> Tensor:
        V, z, y = draw.instances(2, correct=False, high=8.0)
        # One radius for all: rescale V so that ε = 1 is neither tiny nor huge.
        V = V / (V[..., 0] - V[..., 1]).abs().sum(dim=-1)[:, None, None]
        instance = Instance(V, z, y)
        found = []
        for epsilon in (0.01, 1.0, 30.0):
            gain = model_gain(instance, epsilon * corners(V.shape[1]).to(V)[:, None, :]).amax(dim=0)
            best = probability.loss(z, y) + gain
            found.append((eta(instance, epsilon) - best).abs() / best)
        return torch.cat(found)

    return excess


def _two_norm_eta(instance: Instance, epsilon: float) -> Tensor:
    """Eq. (25) with ‖·‖₂ where its norm has no subscript."""
    p = probability.label_probability(instance.z, instance.y)
    q = probability.rival_probability(instance.z, instance.y)
    reach = epsilon * derivatives.cross_lipschitz(instance.V)
    return probability.loss(instance.z, instance.y) + q * reach + 0.5 * p * q * reach.square()


def _network_eta_excess(factor: float) -> Callable[[Draw], Tensor]:
    """η* from (V, z) against ε‖∇‖₁ + ε² sign(∇)ᵀH sign(∇)/2 with autograd's ∇ and H."""

    def excess(draw: Draw) -> Tensor:
        def one(s: Sample) -> Tensor:
            g, H, epsilon = s.autograd.gradient, s.autograd.hessian, 0.1
            r = epsilon * g.sign()
            gain = (g * r).sum(dim=-1) + 0.5 * (r.unsqueeze(-2) @ H @ r.unsqueeze(-1)).flatten()
            eta = taylor_radius.worst_case_loss(s.map.V, s.map.z, s.y, factor * epsilon)
            claimed = eta - probability.loss(s.map.z, s.y)
            return relative((claimed - gain)[:, None], gain[:, None], axes=1) / autograd_noise(s)

        return draw.over_samples(2, one)

    return excess


PROP_3_3 = Claim(
    id="prop-3.3",
    where="Proposition 3.3, Eq. (10)",
    title="the model's worst case in the ℓ∞ ball",
    printed=(
        r"\eta^* = \mathcal L + \epsilon(1-p_y)\|\mathbf v_+-\mathbf v_-\|_1 + "
        r"\tfrac12\epsilon^2p_y(1-p_y)\|\mathbf v_+-\mathbf v_-\|_1^2"
    ),
    hypotheses=(BINARY, OFF_KINKS, "any label: the paper asks for a correct one, and need not", "ε ≥ 0"),
    depends=("eq-22",),
    chapter=CHAPTER,
    derivation=Derivation(prove_worst, lambda: prove_worst(2), "no factor 1/2"),
    checks=(
        Check(
            "η* against the best of 32 corners, any label",
            _worst_excess(lambda i, e: taylor_radius.worst_case_loss(*i, e)),
            _worst_excess(_two_norm_eta),
            "the ℓ2 norm",
        ),
        Check(
            "η* against autograd's ∇ and H at ε sign(∇)",
            _network_eta_excess(1.0),
            _network_eta_excess(1.01),
            "ε one per cent larger",
            tolerance=1e-9,
        ),
    ),
)


def counterexample_eq_24() -> Counterexample:
    """r = 0 lies in the ball: the second line of Eq. (24) is 0 there, the third is not."""
    p, q = sp.Rational(3, 4), sp.Rational(1, 4)
    gradient_norm, epsilon, size = sp.Rational(1, 4), sp.Integer(1), sp.Integer(0)

    def line(radius: sp.Expr) -> sp.Expr:
        return radius * gradient_norm + p / (2 * q) * (radius * gradient_norm) ** 2

    return Counterexample(
        r"p_y = \tfrac34,\ \|\mathbf s\|_1 = 1,\ \epsilon = 1,\ \mathbf r = 0: \text{ the second line "
        r"against the third}",
        line(size),
        "=",
        line(epsilon),
    )


def _chain_excess(equality: bool) -> Callable[[Draw], Tensor]:
    """Every link of Eq. (24) at a random r of the ball: by how much does it fail?"""

    def excess(draw: Draw) -> Tensor:
        instance = draw.instances(2, high=8.0)
        generator = torch.Generator().manual_seed(draw.seed + 1)
        r = 2 * torch.rand(instance.V.shape[:-1], generator=generator, dtype=torch.float64) - 1
        one_norm = derivatives.input_gradient(*instance).abs().sum(dim=-1)
        odds = probability.logit_margin(instance.z, instance.y).exp()

        def line(radius: Tensor) -> Tensor:
            return radius * one_norm + 0.5 * odds * (radius * one_norm).square()

        first, second = model_gain(instance, r), line(r.abs().amax(dim=-1))
        third = line(torch.ones_like(second))
        link = (second - third).abs() if equality else second - third
        return torch.maximum(first - second, link) / third

    return excess


EQ_24 = Claim(
    id="eq-24",
    where="Appendix C, Eq. (24)",
    title="Hölder's inequality for the model, and one equality too many",
    printed=(
        r"\nabla^T\mathbf r+\tfrac12\mathbf r^TH\mathbf r \le \|\mathbf "
        r"r\|_\infty\|\nabla\|_1+\tfrac{p_y}{2(1-p_y)}(\|\mathbf r\|_\infty\|\nabla\|_1)^2 = "
        r"\epsilon\|\nabla\|_1+\tfrac{p_y}{2(1-p_y)}(\epsilon\|\nabla\|_1)^2"
    ),
    corrected=r"\text{“}\le\text{” in place of the “}=\text{”: } \|\mathbf r\|_\infty \le \epsilon",
    text=Text.CORRECTED,
    transcription=True,
    hypotheses=(BINARY, "‖r‖_∞ ≤ ε"),
    depends=("eq-22",),
    chapter=CHAPTER,
    checks=(
        Check(
            "each link at random r, “≤” throughout",
            _chain_excess(False),
            _chain_excess(True),
            "“=” as printed",
        ),
    ),
    counterexample=counterexample_eq_24,
    partly=True,
    expected=Verdict.PARTLY,
)

EQ_25 = Claim(
    id="eq-25",
    where="Appendix C, Eq. (25)",
    title="the norm in Eq. (25) is the 1-norm",
    printed=(
        r"\nabla^T\mathbf r+\tfrac12\mathbf r^TH\mathbf r \le \epsilon(1-p_y)\|\mathbf v_+-\mathbf "
        r"v_-\|+\tfrac12\epsilon^2p_y(1-p_y)\|\mathbf v_+-\mathbf v_-\|^2"
    ),
    corrected=(
        r"\|\cdot\|_1 \text{ in both places; equality at } \mathbf r = \epsilon\operatorname{sign}(\nabla)"
    ),
    text=Text.CORRECTED,
    transcription=True,
    hypotheses=(BINARY, "‖r‖_∞ ≤ ε"),
    depends=("eq-24",),
    chapter=CHAPTER,
    checks=PROP_3_3.checks[:1],
)

# --- what η* does not bound (new) ------------------------------------------------------


def prove_below(order: int = 1) -> None:
    """softplus‴ = p'q'(1 − 2p') is positive left of the boundary and odd about it.

    f(t) − η(t) = ∫₀ᵗ ½(t − u)² f‴(u) du with f(t) = softplus(t − m). For t ≤ m the integrand
    is positive. For m < t ≤ 2m pair u = m − w with u = m + w: their weights differ by
    2w(t − m) ≥ 0, and what is left over, u < 2m − t, is positive.
    """
    u, w, t, m = sp.symbols("u w t m", real=True)
    sigma = 1 / (1 + sp.exp(-u))
    third = sigma * (1 - sigma) * (1 - 2 * sigma)
    prove_zero(sp.diff(sp.log(1 + sp.exp(u)), u, 3) - third, because="softplus‴")
    prove_zero(sp.simplify(third + third.subs(u, -u)), because="odd")
    x = sp.symbols("x", positive=True)
    left = third.subs(u, -x)  # = e^{-x}(1 − e^{-x})/(1 + e^{-x})³ with e^{-x} = 1/(1 + y)
    y = sp.symbols("y", positive=True)
    prove_sign(sp.factor(sp.simplify(left.subs(x, sp.log(1 + y)))), "positive")
    weights = ((t - (m - w)) ** 2 - (t - (m + w)) ** 2) / 2
    prove_zero(weights - 2 * order * w * (t - m), because="the pair's weights")


def _below_true_excess(low: float, high: float) -> Callable[[Draw], Tensor]:
    """η* minus the true worst loss, both over ε‖s‖₁ = share·2m, relative to the gain."""

    def excess(draw: Draw) -> Tensor:
        V, z, y = draw.instances(2, low=0.05)
        V = V / (V[..., 0] - V[..., 1]).abs().sum(dim=-1)[:, None, None]
        m = probability.logit_margin(z, y)
        generator = torch.Generator().manual_seed(draw.seed + 1)
        share = low + (high - low) * torch.rand(m.shape, generator=generator, dtype=torch.float64)
        reach = 2 * m * share
        scaled = V * reach[:, None, None]
        eta = taylor_radius.worst_case_loss(scaled, z, y, 1.0)
        true = torch.nn.functional.softplus(reach - m)
        return (eta - true) / true

    return excess


ETA_BELOW = Claim(
    id="thm-eta-below-true-loss",
    where="new, on Proposition 3.3 and Eq. (2)",
    title="η* lies below the true worst-case loss",
    printed=(
        r"0<\epsilon\|\mathbf s\|_1\le 2m:\quad \eta^* < \max_{\|\mathbf "
        r"r\|_\infty\le\epsilon}\log(1+e^{-m(\mathbf x+\mathbf r)}) = \log(1+e^{-m+\epsilon\|\mathbf "
        r"s\|_1})"
    ),
    text=Text.NEW,
    hypotheses=(BINARY, CORRECT, "ν > 0", "the classifier affine over the ball"),
    depends=("prop-3.3", "eq-2-fgsm"),
    chapter=CHAPTER,
    derivation=Derivation(prove_below, lambda: prove_below(2), "twice the weight"),
    checks=(
        Check(
            "η* against the exact worst loss up to ε‖s‖₁ = 2m",
            _below_true_excess(1e-3, 1.0),
            _below_true_excess(1.0, 30.0),
            "larger ε, where a parabola overtakes a line",
        ),
    ),
)

CLAIMS = (PROP_3_3, ETA_BELOW)
APPENDIX = (EQ_24, EQ_25)
