"""Lemma 4.1 in numbers: V, ∇ and H of K classes against autograd's, and the slack ξ."""

from __future__ import annotations

import torch
from torch import Tensor

from regrob.claims import groups
from regrob.claims.check import Check
from regrob.claims.combinators import check, check_both, check_networks, check_random, on_networks
from regrob.claims.comparisons import relative
from regrob.claims.instances import Instance
from regrob.claims.numerical.lemma_3_2 import jacobian_error
from regrob.claims.numerical.locally_affine import step_check
from regrob.claims.samplings import CLASSES, MISTAKES_TOO, Sampling
from regrob.theory import probability

# --- Eq. (14) --------------------------------------------------------------------------


EQ_14 = (step_check("a step inside Q(x) moves the K logits by V'r", *CLASSES),)

# --- Lemma 4.1 -------------------------------------------------------------------------


JACOBIAN = (
    check(
        "V against autograd's Jacobian",
        on_networks(jacobian_error, *CLASSES),
        wrong=True,
        mistake="the classes in reverse order",
    ),
)


def gradient_error(case: Instance, label: float = 1.0) -> Tensor:
    """∇ = V(p − y), literally Eq. (15), against the case's gradient; `label=0` forgets the label."""
    e = torch.nn.functional.one_hot(case.y, case.K).to(case.z)
    p = probability.residual_probability(case.z, case.y) + (1 - label) * e
    formula = (case.V @ p.unsqueeze(-1)).squeeze(-1)
    return relative(formula - case.gradient, case.gradient, 1)


GRADIENT = (
    check_networks(
        "V(p − y) against autograd's gradient",
        gradient_error,
        0.0,
        "Vp, the label forgotten",
        MISTAKES_TOO,
    ),
)


def hessian_error(case: Instance, matrix: str = "outer") -> Tensor:
    """V(diag p − ppᵀ)Vᵀ against the case's Hessian; "scalar" reads the printed pᵀp as a number times I."""
    p = torch.softmax(case.z, dim=-1)
    if matrix == "scalar":
        identity = torch.eye(case.K, dtype=p.dtype, device=p.device)
        product = p.square().sum(dim=-1)[..., None, None] * identity
    else:
        product = p.unsqueeze(-1) * p.unsqueeze(-2)
    formula = case.V @ (torch.diag_embed(p) - product) @ case.V.mT
    return relative(formula - case.hessian, case.hessian, 2)


HESSIAN = (
    check_networks(
        "V(diag p − pp')V' against autograd's Hessian",
        hessian_error,
        "scalar",
        "pᵀp as a number",
        MISTAKES_TOO,
    ),
)


def pairs_error(case: Instance, weight: float = 0.5) -> Tensor:
    """Σ_{i<j} p_i p_j (v_i − v_j)(v_i − v_j)ᵀ, every pair formed, against the case's Hessian."""
    p = torch.softmax(case.z, dim=-1)
    d = case.V.unsqueeze(-1) - case.V.unsqueeze(-2)  # (…, n, K, K)
    formula = weight * torch.einsum("...aij,...bij,...i,...j->...ab", d, d, p, p)
    return relative(formula - case.hessian, case.hessian, 2)


PAIRS = check_both(
    "the sum over pairs against the Hessian", pairs_error, 0.505, "one per cent more", MISTAKES_TOO
)


def spectrum_excess(case: Instance, dropped: int = 1) -> Tensor:
    """The size of what should vanish: negative eigenvalues, and all beyond the first K − `dropped`."""
    values = torch.linalg.eigvalsh(case.hessian)
    beyond = values[..., : max(0, values.shape[-1] - (case.K - dropped))].abs().sum(dim=-1)
    least = (-values[..., 0]).clamp_min(0.0)
    share: Tensor = torch.maximum(beyond, least) / values[..., -1]
    return share


FLAT = "it has 8 inputs, so that H has rank 8 at most"

PSD = (
    check_random(
        "the least eigenvalue of H, and all but K − 1 of them (random instances)",
        spectrum_excess,
        2,
        "rank K − 2",
        Sampling(correct=False, inputs=12),
    ),
    check_networks(
        "the least eigenvalue of H, and all but K − 1 of them (networks, autograd)",
        spectrum_excess,
        2,
        "rank K − 2",
        MISTAKES_TOO,
        blunt={
            groups.of(10, "MLP"): FLAT,
            groups.of(10, "leaky MLP"): FLAT,
            groups.of(10, "skip connection"): FLAT,
            groups.of(10, "max-pool"): "its last layer reads 6 numbers, so that H has rank 6 at most",
        },
    ),
)

# --- ξ ---------------------------------------------------------------------------------


XI = check_both(
    "log(K p_y) against log K − L",
    lambda c, power=1.0: (torch.log(c.K * c.p**power) - c.xi).abs(),
    -1.0,
    "the sign as printed",
)


CHECKS: dict[str, tuple[Check, ...]] = {
    "eq-14": EQ_14,
    "lemma-4.1-jacobian": JACOBIAN,
    "lemma-4.1-gradient": GRADIENT,
    "lemma-4.1-hessian": HESSIAN,
    "lemma-4.1-pairs": PAIRS,
    "remark-psd": PSD,
    "remark-xi": XI,
}
"""The checks of each claim, by its id."""
