"""What certifies inside the polytope, where the network is an affine classifier."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from regrob.checks import Jacobian, Labels, Logits, PerExample
from regrob.theory import bounds, derivatives, margin, probability, taylor_radius


class AffineCertificates(NamedTuple):
    """Lower bounds on the distance to the nearest mistake of the affine classifier.

    margin ≥ pairs ≥ spectral ≥ cross_lipschitz, all equal at K = 2; margin ≥ smooth.

    Attributes:
        margin: d = min_j (z_y − z_j)/‖v_y − v_j‖₂, which is that distance itself.
        pairs: m / max_j ‖v_y − v_j‖₂.
        spectral: m / (√2 ‖V C‖₂).
        cross_lipschitz: m / (√K ν), ν² over ordered pairs.
        smooth: 2ξ/(‖∇‖ + √(‖∇‖² + ‖V C‖₂² ξ)), from ‖H‖₂ ≤ ‖V C‖₂²/2 everywhere, β = log 2.
    """

    margin: PerExample
    pairs: PerExample
    spectral: PerExample
    cross_lipschitz: PerExample
    smooth: PerExample


def affine_certificates(V: Jacobian, z: Logits, y: Labels) -> AffineCertificates:
    """The certificates within Q(x). All but the margin are zero where p_y ≤ ½: they need m > 0.

    Raises:
        HypothesisError: an example is not classified correctly.
        InputError: wrong shapes, NaN or infinity.

    >>> V, z = torch.tensor([[1.0, -1.0]]), torch.tensor([1.5, -1.5])  # K = 2: m = 3, ν = 2
    >>> [round(float(bound), 4) for bound in affine_certificates(V, z, torch.tensor(0))[:4]]
    [1.5, 1.5, 1.5, 1.5]
    """
    distance = margin.margin_l2(V, z, y)
    m = probability.logit_margin(z, y)
    farthest = margin.rival_lengths(V, y).amax(dim=-1)
    spectral = bounds.centred_norm(V)
    nu = derivatives.cross_lipschitz_squared(V).sqrt()
    slope = bounds.gradient_norm(V, z, y)
    xi = probability.slack(z, y, threshold=math.log(2.0)).clamp_min(0.0)
    chain = (m / size for size in (farthest, math.sqrt(2) * spectral, math.sqrt(z.shape[-1]) * nu))
    smooth = taylor_radius.positive_root(slope, spectral.square() / 2, xi)
    zero = torch.zeros_like(m)
    return AffineCertificates(distance, *(torch.where(m > 0, bound, zero) for bound in (*chain, smooth)))
