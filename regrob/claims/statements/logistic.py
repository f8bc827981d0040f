"""Appendix G: the logistic loss. What carries over from two logits to one, and what does not."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torch.nn.functional import softplus

from regrob import networks
from regrob.claims.claim import Check, Claim, Counterexample, Derivation, Text, Verdict
from regrob.claims.instances import Draw, relative
from regrob.errors import ProofError
from regrob.symbols import differentiate, prove_zero
from regrob.theory import derivatives, probability, taylor_radius

CHAPTER = "book/logistic_loss"


def two_logits(v: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
    """V = [v, 0] and z = (vᵀx, 0): one logit written as two, (…, n, 2) and (…, 2)."""
    return torch.stack([v, torch.zeros_like(v)], dim=-1), torch.stack([m, torch.zeros_like(m)], dim=-1)


def prove_transfer(sign: int = 1) -> None:
    """∇ = −y(1 − p_y)v and H = p_y(1 − p_y)vvᵀ for log(1 + e^{−y vᵀx}), any n: Lemma 3.2 with s = v."""
    n = sp.symbols("n", integer=True, positive=True)
    a, b, c = sp.symbols("a b c", integer=True, nonnegative=True)
    v, x = sp.IndexedBase("v", real=True), sp.IndexedBase("x", real=True)
    score = sp.Sum(v[c] * x[c], (c, 0, n - 1))
    for y in (1, -1):
        loss = sp.log(1 + sp.exp(-y * score))
        gradient = differentiate(loss, x[a], c)
        curved = differentiate(gradient, x[b], c)
        e = sp.symbols("e", positive=True)  # e^{−y vᵀx}
        p = 1 / (1 + e)
        for found, claimed in ((gradient, sign * y * (p - 1) * v[a]), (curved, p * (1 - p) * v[a] * v[b])):
            flat = found.subs(sp.exp(-2 * y * score), e**2).subs(sp.exp(-y * score), e)
            if sp.simplify(flat - claimed) != 0:
                raise ProofError(f"the logistic loss leaves {sp.simplify(flat - claimed)}")


def _one_logit(draw: Draw) -> tuple[nn.Module, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(draw.seed)
    network = networks.mlp((6, 14, 10, 1), generator=generator).double()
    images = torch.randn(12, 6, generator=generator, dtype=torch.float64)
    y = 2 * torch.randint(2, (12,), generator=generator) - 1  # the paper's ±1
    return network, images, y


def _lemma_excess(scale: float) -> Callable[[Draw], Tensor]:
    """∇ and H of the logistic loss by autograd against Lemma 3.2's formulas at V = [v, 0]."""

    def excess(draw: Draw) -> Tensor:
        network, images, y = _one_logit(draw)
        state: dict[str, Tensor] = dict(network.named_parameters())

        def score(x: Tensor) -> Tensor:
            out: Tensor = functional_call(network, state, (x[None],))
            return out[0, 0]

        def loss(x: Tensor, label: Tensor) -> Tensor:
            return softplus(-label * score(x))

        with torch.enable_grad():
            v, m = vmap(jacrev(score))(images).detach(), vmap(score)(images).detach()
            g = vmap(jacrev(loss))(images, y).detach()
            H = torch.stack(
                [jacrev(jacrev(loss))(x, label).detach() for x, label in zip(images, y, strict=True)]
            )
        V, z = two_logits(scale * v, m)
        label = (y < 0).long()  # class 0 is the paper's +1
        off = relative(derivatives.input_gradient(V, z, label) - g, g, axes=1)
        return torch.maximum(off, relative(derivatives.hessian(V, z) - H, H, axes=2))

    return excess


def _radius_excess(shift: float) -> Callable[[Draw], Tensor]:
    """Props. 3.1 to 3.3 at V = [v, 0] against the logistic loss's own quadratic model."""

    def excess(draw: Draw) -> Tensor:
        generator = torch.Generator().manual_seed(draw.seed)
        v = torch.randn(draw.trials, 5, generator=generator, dtype=torch.float64)
        m = 1e-2 + 12 * torch.rand(draw.trials, generator=generator, dtype=torch.float64)
        V, z = two_logits(v, m)
        y = torch.zeros(draw.trials, dtype=torch.int64)
        q = torch.sigmoid(-m)
        xi = probability.binary_slack(m)

        def model(r: Tensor) -> Tensor:  # log(1 + e^{−m}), differentiated twice in m
            step = (v * r).sum(dim=-1)
            return -q * step + 0.5 * q * (1 - q) * step.square()

        two = taylor_radius.radius_l2(V, z, y)[:, None] * (1 + shift)
        inf = taylor_radius.radius_linf(V, z, y)[:, None] * (1 + shift)
        eta = taylor_radius.worst_case_loss(V, z, y, 0.5 * (1 + shift))
        parts = (
            model(-two * v / v.norm(dim=-1, keepdim=True)) / xi - 1,
            model(-inf * v.sign()) / xi - 1,
            (softplus(-m) + model(-0.5 * v.sign())) / eta - 1,
        )
        return torch.stack([part.abs() for part in parts]).amax(dim=0)

    return excess


TRANSFER = Claim(
    id="remark-logistic-transfer",
    where="Appendix G; Section 3.1, below Eq. (8)",
    title="Lemma 3.2 and Propositions 3.1 to 3.3 hold for the logistic loss",
    printed=r"V = [\mathbf v, \mathbf 0]: \ \mathbf v \text{ plays the role of } \mathbf v_+-\mathbf v_-",
    hypotheses=("K = 2", "one logit vᵀx", "for the propositions: their own hypotheses"),
    depends=("lemma-3.2-gradient", "lemma-3.2-hessian", "prop-3.1", "prop-3.2", "prop-3.3"),
    chapter=CHAPTER,
    derivation=Derivation(prove_transfer, lambda: prove_transfer(-1), "the sign reversed"),
    checks=(
        Check(
            "∇ and H of one-logit networks by autograd", _lemma_excess(1.0), _lemma_excess(2.0), "V = [2v, 0]"
        ),
        Check(
            "the three propositions against the loss's own quadratic model",
            _radius_excess(0.0),
            _radius_excess(1e-3),
            "one per mille too long",
        ),
    ),
)

# --- Proposition 3.4 -------------------------------------------------------------------


def prove_scale(halves: int = 1) -> None:
    """J = v, so μ² = ‖v‖² = ν²: λν²/2 and λ'μ² are one function exactly for λ' = λ/2."""
    lam, S = sp.symbols("lambda S", positive=True)
    nu2 = mu2 = S  # ‖v − 0‖² and ‖v‖²
    prove_zero(lam * nu2 / 2 - lam / 2 * halves * mu2, because="the two penalties")


def _optimum_excess(factor: float) -> Callable[[Draw], Tensor]:
    """Minimise E L + λν²/2 by Newton; is E L + (factor·λ)μ² stationary there?"""

    def excess(draw: Draw) -> Tensor:
        generator = torch.Generator().manual_seed(draw.seed)
        T, points, n = min(draw.trials, 2000), 20, 3
        x = torch.randn(T, points, n, generator=generator, dtype=torch.float64)
        y = 2.0 * torch.randint(2, (T, points), generator=generator) - 1
        lam = torch.exp(torch.randn(T, 1, generator=generator, dtype=torch.float64) - 2)
        v = torch.zeros(T, n, dtype=torch.float64)

        def slopes(v: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            m = y * (x @ v.unsqueeze(-1)).squeeze(-1)
            q = torch.sigmoid(-m)
            loss = -(q * y).unsqueeze(-1).mul(x).mean(dim=1)
            curved = (x.mT * (q * (1 - q)).unsqueeze(1)) @ x / points
            return loss + weight * v, curved + weight[..., None] * torch.eye(n, dtype=torch.float64), loss

        for _ in range(30):
            g, H, _ = slopes(v, lam)
            v = v - torch.linalg.solve(H, g)
        other, _, loss = slopes(v, 2 * factor * lam)  # ∇(factor·λ‖v‖²)
        off: Tensor = other.norm(dim=-1) / loss.norm(dim=-1)
        return off

    return excess


def counterexample_scale() -> Counterexample:
    """One point x = 1, y = +1, λ = 1/(4 log 3): v = log 3 solves the first problem only.

    There the loss's slope is −1/(1 + e^v) = −1/4, and λv = 1/4 while 2λv = 1/2.
    """
    lam, v = 1 / (4 * sp.log(3)), sp.log(3)
    slope = -1 / (1 + sp.exp(v))
    if sp.simplify(slope + lam * v) != 0:
        raise ProofError("log 3 does not minimise the first objective")
    return Counterexample(
        r"x = 1,\ y = +1,\ \lambda = \tfrac1{4\log3}: \text{ the slope of } \mathcal L+\lambda\mu^2 "
        r"\text{ at } v = \log3, \text{ which minimises } \mathcal L+\lambda\nu^2/2",
        sp.simplify(slope + 2 * lam * v),
        "=",
        sp.Integer(0),
    )


SCALE = Claim(
    id="remark-logistic-prop-3.4",
    where="Appendix G, on Proposition 3.4",
    title="Proposition 3.4's scale of two does not carry over",
    printed=(
        r"\text{what follows is coincident: } \operatorname{argmin}\mathbb E[\mathcal L+\lambda\nu^2/2] = "
        r"\operatorname{argmin}\mathbb E[\mathcal L+\lambda\mu^2]"
    ),
    corrected=(
        r"J = \mathbf v,\ \mu^2 = \nu^2: \text{ the same function where the weights agree, } "
        r"\lambda\nu^2/2 \text{ with } \tfrac\lambda2\mu^2"
    ),
    text=Text.CORRECTED,
    hypotheses=("one logit vᵀx, so that J = v", "λ > 0"),
    depends=("remark-logistic-transfer",),
    chapter=CHAPTER,
    derivation=Derivation(prove_scale, lambda: prove_scale(2), "the paper's scale"),
    checks=(
        Check(
            "the minimiser with λν²/2 is stationary with (λ/2)μ²",
            _optimum_excess(0.5),
            _optimum_excess(1.0),
            "λμ², as printed",
            tolerance=1e-9,
        ),
    ),
    counterexample=counterexample_scale,
    expected=Verdict.FAILS,
)

CLAIMS = (TRANSFER, SCALE)
