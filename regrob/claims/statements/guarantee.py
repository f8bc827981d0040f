"""What was said to certify and does not: the Taylor radius, and the threshold log K."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import sympy as sp
import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob import networks
from regrob.affine.local_map import local_map
from regrob.certificates import certified_radius, distance_to_mistake, edge_distance
from regrob.claims.claim import Check, Claim, Counterexample, Derivation, Text, Verdict
from regrob.claims.instances import Draw
from regrob.claims.many import CLASSES
from regrob.errors import InputError, ProofError
from regrob.symbols import prove_sign, prove_zero
from regrob.theory import probability, taylor_radius
from regrob.theory.margin import margin_l2

PAGE = "book/certificates"

# --- small networks whose nearest mistake is known exactly -----------------------------


class Measured(NamedTuple):
    """Points of networks with two inputs: each field (P,).

    Attributes:
        exact: distance to the nearest mistake of the network itself, by cutting the plane.
        margin: d, of the affine classifier around the point.
        edge: dist(x, ∂Q(x)).
        taylor: ‖r*‖₂ of Proposition 3.1, zero where that is undefined.
        certified: `certified_radius`.
    """

    exact: Tensor
    margin: Tensor
    edge: Tensor
    taylor: Tensor
    certified: Tensor


@functools.lru_cache(maxsize=8)
def measured(classes: int, seed: int, *, count: int = 6) -> Measured:
    """Points of `count` ReLU networks 2-6-5-K with biases, every other one trained."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for i in range(count):
        network = networks.mlp((2, 6, 5, classes), generator=generator).double()
        for module in network:
            if isinstance(module, nn.Linear):
                module.bias.data.uniform_(-0.6, 0.6, generator=generator)
        if i % 2:
            _fit(network, classes, generator)
        points = torch.rand(3, 2, generator=generator, dtype=torch.float64) * 2 - 1
        V, z = local_map(network, points)
        y = z.argmax(dim=1)
        certified = certified_radius(network, points, y)
        edge = edge_distance(network, points)
        margin = margin_l2(V, z, y)
        taylor = torch.zeros_like(margin)
        if classes == 2:
            defined = taylor_radius.has_taylor_radius(V, z, y)
            taylor[defined] = taylor_radius.radius_l2(V[defined], z[defined], y[defined])
        for j, point in enumerate(points):
            try:
                exact = distance_to_mistake(network, point, int(y[j]), low=-4.0, high=4.0)
            except InputError:  # the nearest mistake lies outside the square
                continue
            if math.isfinite(exact):
                rows.append(torch.stack([exact, margin[j], edge[j], taylor[j], certified[j]]))
    return Measured(*torch.stack(rows).T)


def _fit(network: nn.Module, classes: int, generator: torch.Generator) -> None:
    """A few steps towards K clouds around points of the square."""
    centres = torch.rand(classes, 2, generator=generator, dtype=torch.float64) * 2 - 1
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    with torch.enable_grad():
        for _ in range(60):
            y = torch.randint(classes, (32,), generator=generator)
            x = centres[y] + 0.25 * torch.randn(32, 2, generator=generator, dtype=torch.float64)
            optimiser.zero_grad()
            functional.cross_entropy(network(x), y).backward()
            optimiser.step()


def exceeds(classes: int, radius: Callable[[Measured], Tensor]) -> Callable[[Draw], Tensor]:
    """By how much a radius exceeds the distance to the network's nearest mistake, relatively."""

    def excess(draw: Draw) -> Tensor:
        found = measured(classes, draw.seed % 2)
        return (radius(found) - found.exact) / found.exact

    return excess


# --- "a formal guarantee" --------------------------------------------------------------


def counterexample_linear() -> Counterexample:
    """z = (x, 0) at x = log 3: p = 3/4, the boundary is log 3 away."""
    p, xi = sp.Rational(3, 4), sp.log(sp.Rational(3, 2))
    return Counterexample(
        r"z_+=x,\ z_-=0,\ x=\log3:\ \|\mathbf r^*\|_2 \text{ against the distance to the boundary}",
        (sp.sqrt(1 + 2 * p * xi / (1 - p)) - 1) / p,
        "<=",
        sp.log(3),
    )


GUARANTEE = Claim(
    id="remark-formal-guarantee",
    where="Section 3.1, below Proposition 3.1",
    title="the Taylor radius as a formal guarantee",
    printed=(
        r"\text{Prop. 3.1 gives rise to a formal guarantee of the } \ell_2 \text{ robustness for piecewise "
        r"linear DNNs: no perturbation shorter than } \|\mathbf r^*\|_2 \text{ changes the class}"
    ),
    corrected=(
        r"\text{no perturbation shorter than } \min(d, \operatorname{dist}(\mathbf x,\partial Q(\mathbf x))) "
        r"\text{ does; } \|\mathbf r^*\|_2>d \text{ even for a linear classifier}"
    ),
    text=Text.CORRECTED,
    hypotheses=("K = 2", "classified correctly"),
    depends=("thm-taylor-overshoots", "thm-network-certificate"),
    chapter=PAGE,
    checks=(
        Check(
            "min(d, dist(x, ∂Q)) against the exact nearest mistake, K = 2",
            exceeds(2, lambda found: found.certified),
            exceeds(2, lambda found: found.taylor),
            "the Taylor radius",
        ),
    ),
    counterexample=counterexample_linear,
    expected=Verdict.FAILS,
)


def counterexample_polytope() -> Counterexample:
    """z₊ − z₋ = x₁ − 10·max(0, x₂) at (1, −1/100): p = e/(1+e), ν = 1, and (0, 11/100) ends on a tie."""
    x_1, x_2 = sp.Integer(1), -sp.Rational(1, 100)
    step = sp.Rational(11, 100)
    if x_1 - 10 * sp.Max(0, x_2) != 1 or x_1 - 10 * sp.Max(0, x_2 + step) != 0:
        raise ProofError("the step does not lead from a margin of one to a tie")
    p = sp.E / (1 + sp.E)
    xi = sp.log(2 * p)
    return Counterexample(
        r"z_+-z_-=x_1-10\max(0,x_2),\ \mathbf x=(1,-\tfrac1{100}):\ \|\mathbf r^*\|_2 \text{ against the length "
        r"of } (0,\tfrac{11}{100}), \text{ which reaches the boundary; } d=1 \text{ is no guarantee either}",
        (sp.sqrt(1 + 2 * p * xi * (1 + sp.E)) - 1) / p,
        "<=",
        step,
    )


def _inside_excess(inside: bool) -> Callable[[Draw], Tensor]:
    """Where the ball of radius d stays in Q(x), or does not: is d the network's own distance?"""

    def excess(draw: Draw) -> Tensor:
        found = [measured(K, seed) for K in (2, 3) for seed in range(2)]
        return torch.cat(
            [((f.exact - f.margin).abs() / f.exact)[(f.margin <= f.edge) == inside] for f in found]
        )

    return excess


POLYTOPE = Claim(
    id="remark-formal-guarantee-polytope",
    where="Section 3.1, below Proposition 3.1",
    title="a guarantee that holds beyond the polytope",
    printed=(
        r"\text{the guarantee holds for piecewise linear DNNs, without concern for the accuracy of the "
        r"approximation}"
    ),
    corrected=(
        r"V \text{ and } \mathbf z \text{ say nothing about the network outside } Q(\mathbf x): "
        r"d \text{ is its distance if } d\le\operatorname{dist}(\mathbf x,\partial Q(\mathbf x))"
    ),
    text=Text.CORRECTED,
    hypotheses=("classified correctly", "x off the kinks"),
    depends=("eq-1-deepfool", "eq-5"),
    chapter=PAGE,
    checks=(
        Check(
            "d is the exact distance where its ball stays inside Q(x)",
            _inside_excess(True),
            _inside_excess(False),
            "balls that leave Q(x)",
        ),
    ),
    counterexample=counterexample_polytope,
    expected=Verdict.FAILS,
)

# --- the threshold log K ---------------------------------------------------------------


def prove_threshold(denominator: int = 2) -> None:
    """p_y > ½ beats every rival; p_y < 1/K loses to their average; above log 2 both happen. Any K."""
    above, below, e = sp.symbols("above below e", positive=True)
    K = sp.symbols("K", positive=True)
    p = sp.Rational(1, denominator) + above
    prove_sign(p - (1 - p), "positive")  # no rival has more than 1 − p
    p = 1 / K - below
    average = (1 - p) / (K - 1)
    prove_sign(sp.simplify((average - p) * (K - 1)), "positive", certificate=K * below)
    # For any threshold above log 2: p_y = ½ − e loses to a rival with ½ + e/2, and L → log 2 as e → 0.
    prove_sign((sp.Rational(1, 2) + e / 2) - (sp.Rational(1, 2) - e), "positive")
    prove_zero(sp.limit(-sp.log(sp.Rational(1, 2) - e), e, 0) - sp.log(2))


def _threshold_excess(low: Callable[[int], float]) -> Callable[[Draw], Tensor]:
    """Random logits: below `low` the label must lead, above log K it must not."""

    def excess(draw: Draw) -> Tensor:
        found = []
        for K in CLASSES:
            share = Draw(max(50, draw.trials // len(CLASSES)), draw.seed, draw.device)
            _, z, y = share.instances(K, correct=False, low=0.1)
            own = z.gather(-1, y.unsqueeze(-1)).squeeze(-1)
            rival = z.scatter(-1, y.unsqueeze(-1), -torch.inf).amax(dim=-1)
            lead, loss = (own - rival) / z.abs().amax(dim=-1), probability.loss(z, y)
            found.append(torch.where(loss < low(K), -lead, torch.where(loss > math.log(K), lead, -1.0)))
        return torch.cat(found)

    return excess


def counterexample_log_k() -> Counterexample:
    """Logits (log 4, log 5, 0), y = 0: p = (2/5, 1/2, 1/10), L = log 5/2 < log 3, and class 1 wins."""
    weights = [sp.Integer(4), sp.Integer(5), sp.Integer(1)]
    p = [w / sum(weights) for w in weights]
    if not (sp.log(3) + sp.log(p[0])).evalf(30) > 0:
        raise ProofError("the loss is not below log 3")
    return Counterexample(
        r"\mathbf z=(\log4,\log5,0),\ y=0:\ \mathcal L=\log\tfrac52<\log3;\ \text{the rival's probability "
        r"against the label's}",
        p[1],
        "<=",
        p[0],
    )


LOG_K = Claim(
    id="remark-threshold-log-k",
    where="Section 4 and Appendix E, β = log K",
    title="with K classes the loss crosses log K at the boundary",
    printed=r"\mathcal L(\mathbf x, y) < \beta=\log K \text{ separates correct from incorrect}",
    corrected=(
        r"\mathcal L<\log2 \implies \text{correct (no larger constant will do)},\quad \mathcal L>\log K "
        r"\implies \text{incorrect};\ \text{undecided between}"
    ),
    text=Text.CORRECTED,
    hypotheses=("K ≥ 3; at K = 2 both are log 2",),
    depends=("remark-beta",),
    chapter=PAGE,
    derivation=Derivation(prove_threshold, lambda: prove_threshold(3), "p_y > 1/3 instead of 1/2"),
    checks=(
        Check(
            "random logits, K from 2 to 10",
            _threshold_excess(lambda K: math.log(2)),
            _threshold_excess(math.log),
            "log K on both sides",
        ),
    ),
    counterexample=counterexample_log_k,
    expected=Verdict.FAILS,
)

AFTER_PROP_3_1 = (GUARANTEE, POLYTOPE)
CLAIMS = (LOG_K,)
