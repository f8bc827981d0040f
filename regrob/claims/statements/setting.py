"""Section 2.1 and the opening of Section 3.1: the two attack problems and the threshold."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor

from regrob.claims.claim import Check, Claim, Derivation, Text
from regrob.claims.instances import Draw
from regrob.symbols import prove_equal, prove_sign, prove_zero
from regrob.theory import derivatives, probability
from regrob.theory.margin import margin_l2, rival_distances

RADIUS, BALL = "book/lemma_3_1", "book/linf_two_classes"

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


def _leaning(draw: Draw, V: Tensor, z: Tensor, y: Tensor, lean: float) -> tuple[Tensor, Tensor]:
    """Unit directions near the one towards the nearest rival, and the distance to it."""
    nearest = rival_distances(V, z, y).argmin(dim=-1)
    w = derivatives.column(V - derivatives.column(V, y), nearest).squeeze(-1)
    generator = torch.Generator().manual_seed(draw.seed + 1)
    noise = torch.randn(w.shape, generator=generator, dtype=torch.float64).to(w)
    r = w / w.norm(dim=-1, keepdim=True) + lean * noise
    return r / r.norm(dim=-1, keepdim=True), margin_l2(V, z, y)


def _deepfool_excess(length: float) -> Callable[[Draw], Tensor]:
    """A step of d·length straight at the nearest rival: is the label still on top?"""

    def excess(draw: Draw) -> Tensor:
        V, z, y = draw.instances(4)
        r, d = _leaning(draw, V, z, y, lean=0.0)
        moved = z + (V.mT @ (length * d[:, None] * r).unsqueeze(-1)).squeeze(-1)
        rival = moved.scatter(-1, y.unsqueeze(-1), -torch.inf).amax(dim=-1)
        lead = moved.gather(-1, y.unsqueeze(-1)).squeeze(-1) - rival
        return lead / moved.abs().amax(dim=-1)

    return excess


def _shorter_excess(length: float) -> Callable[[Draw], Tensor]:
    """Steps of d·length in directions near the best one: has a rival come out on top?"""

    def excess(draw: Draw) -> Tensor:
        V, z, y = draw.instances(4)
        r, d = _leaning(draw, V, z, y, lean=0.01)
        moved = z + (V.mT @ (length * d[:, None] * r).unsqueeze(-1)).squeeze(-1)
        rival = moved.scatter(-1, y.unsqueeze(-1), -torch.inf).amax(dim=-1)
        lead = moved.gather(-1, y.unsqueeze(-1)).squeeze(-1) - rival
        return -lead / moved.abs().amax(dim=-1)

    return excess


EQ_1 = Claim(
    id="eq-1-deepfool",
    where="Section 2.1, Eq. (1)",
    title="DeepFool's step is the shortest for a linear model",
    printed=(
        r"\min_{\mathbf r}\|\mathbf r\|_2 \text{ s.t. } \operatorname{argmax}_k g(\mathbf x+\mathbf r)_k "
        r"\ne \operatorname{argmax}_k g(\mathbf x)_k \text{ is solved by DeepFool for any linear model}"
    ),
    corrected=(
        r"\inf\{\|\mathbf r\|_2\} = \min_{j\ne y} \frac{z_y - z_j}{\|\mathbf v_y - \mathbf v_j\|_2}; "
        r"\text{ an infimum, as the boundary itself is a tie}"
    ),
    text=Text.RESTATED,
    hypotheses=(
        "affine classifier, any K",
        "y the one largest logit",
        "the minimum over rivals with v_j ≠ v_y; no other can overtake",
        "no box constraint",
    ),
    chapter=RADIUS,
    derivation=Derivation(prove_nearest, lambda: prove_nearest(2), "twice the squared distance"),
    checks=(
        Check(
            "a step a hair longer than d changes the class",
            _deepfool_excess(1 + 1e-8),
            _deepfool_excess(0.99),
            "a step one per cent shorter",
        ),
        Check(
            "no shorter step does, in directions near the best",
            _shorter_excess(1.0),
            _shorter_excess(1.05),
            "steps five per cent longer, some of which do",
        ),
    ),
)

# --- Eq. (2): the worst loss in a box --------------------------------------------------


def prove_fgsm(sign: int = 1) -> None:
    """The loss falls in m, and m(r) ≥ m − ε‖s‖₁ coordinate by coordinate, tight at FGSM's step."""
    m, s = sp.symbols("m s", real=True)
    a, b = sp.symbols("a b", nonnegative=True)  # ε − r and ε + r
    prove_sign(-sp.diff(sp.log(1 + sp.exp(-m)), m).rewrite(sp.exp), "positive")
    epsilon = (a + b) / 2
    for size, sigma in ((s, 1), (-s, -1)):  # |s| = σs
        step = (b - a) / 2
        slack = (size * epsilon + s * step).subs(s, sigma * sp.Symbol("S", nonnegative=True))
        prove_sign(slack, "nonnegative")
        least = slack.subs({a: 0}) if sign * sigma < 0 else slack.subs({b: 0})
        prove_zero(least, because="equality at r = −ε sign(s)")


def _fgsm_excess(classes: int) -> Callable[[Draw], Tensor]:
    """The worst true loss over the box's 2^n corners against the loss at FGSM's corner."""

    def excess(draw: Draw) -> Tensor:
        V, z, y = draw.instances(classes, correct=False, high=5.0)
        corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * V.shape[1])
        generator = torch.Generator().manual_seed(draw.seed + 1)
        reach = 4 * torch.rand(draw.trials, generator=generator, dtype=torch.float64)
        epsilon = reach / V.abs().sum(dim=(1, 2))
        step = derivatives.input_gradient(V, z, y).sign() * epsilon[:, None]

        def loss(r: Tensor) -> Tensor:  # (…, T, n), (…, T)
            moved = z + (V.mT @ r.unsqueeze(-1)).squeeze(-1)
            return probability.loss(moved, y.expand(moved.shape[:-1]))

        worst = loss(corners[:, None, :] * epsilon[:, None]).amax(dim=0)
        return 1 - loss(step) / worst

    return excess


EQ_2 = Claim(
    id="eq-2-fgsm",
    where="Section 2.1, Eq. (2)",
    title="FGSM's step is the worst for a binary linear model",
    printed=(
        r"\max_{\|\mathbf r\|_\infty\le\epsilon}\mathcal L(\mathbf x+\mathbf r, y) = \mathcal L(\mathbf "
        r"x+\epsilon\operatorname{sign}\nabla, y) \text{ with some binary linear classifiers}"
    ),
    corrected=(
        r"\text{with every binary affine classifier; the maximum is } \log(1+e^{-m+\epsilon\|\mathbf "
        r"s\|_1})"
    ),
    text=Text.RESTATED,
    hypotheses=("affine classifier", "K = 2", "no box constraint", "any label"),
    chapter=BALL,
    derivation=Derivation(prove_fgsm, lambda: prove_fgsm(-1), "the step against the gradient"),
    checks=(
        Check(
            "the true loss at FGSM's corner against all 32 corners",
            _fgsm_excess(2),
            _fgsm_excess(3),
            "three classes, where FGSM is not optimal",
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


def _threshold_excess(beta: float) -> Callable[[Draw], Tensor]:
    def excess(draw: Draw) -> Tensor:
        _, z, y = draw.instances(2, correct=False)
        gap = z.gather(-1, y.unsqueeze(-1)).squeeze(-1) - z.gather(-1, 1 - y.unsqueeze(-1)).squeeze(-1)
        return -gap.sign() * (beta - torch.nn.functional.cross_entropy(z, y, reduction="none"))

    return excess


BETA = Claim(
    id="remark-beta",
    where="Section 3.1, above Lemma 3.1",
    title="with two classes the loss crosses log 2 at the boundary",
    printed=r"\text{with the cross-entropy, } \beta = \log 2 \text{ separates correct from incorrect}",
    hypotheses=("K = 2",),
    chapter=RADIUS,
    derivation=Derivation(prove_threshold, lambda: prove_threshold(sp.log(3)), "the threshold log 3"),
    checks=(
        Check(
            "L < log 2 where and only where y has the larger logit",
            _threshold_excess(float(torch.log(torch.tensor(2.0, dtype=torch.float64)))),
            _threshold_excess(1.0986),
            "the threshold log 3",
        ),
    ),
)

CLAIMS = (EQ_1, EQ_2)
AFTER_LEMMA = (BETA,)
