"""What the theory says of a network at each image: a table with one row an image.

All of it is a function of the local map, (V, z), and the label. Of V (n×K) the theory sees only
VᵀV, so that each V is reduced to a triangular K×K matrix as soon as autograd has made it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine import kinks, local_map
from regrob.attacks._common import saturates
from regrob.checks import Jacobian
from regrob.errors import RegrobError
from regrob.theory import bounds, derivatives, exact_perturbation_l2, margin_l2, probability

if TYPE_CHECKING:
    import pandas as pd

BYTES_OF_V = 2**28
"""Of the Jacobians in memory at a time."""

IMAGES_AT_ONCE = 32

LINEAR = 1e-3
"""Largest error of the local map's logits at x + r*, relative to how far they moved, that passes as none."""


class Quantity(NamedTuple):
    """A column of the table.

    Attributes:
        symbol, name, words: its symbol, a name of two or three words, and what it is.
        large_is_worse: whether a large value is the sign of a fragile image; else a small one is.
    """

    symbol: str
    name: str
    words: str
    large_is_worse: bool = False


QUANTITIES = {
    "probability": Quantity("p_y", "probability", "the softmax probability of the label"),
    "logit_margin": Quantity("m", "logit margin", "log(p_y/(1 − p_y))"),
    "cross_lipschitz": Quantity(
        "ν",
        "cross-Lipschitz",
        "how fast differences of logits change: ‖v₊ − v₋‖₂, or for K ≥ 3 (Σ‖v_i − v_j‖²)^½/K",
        large_is_worse=True,
    ),
    "lipschitz": Quantity("μ", "Lipschitz", "‖V‖_F, how fast the logits change", large_is_worse=True),
    "gradient": Quantity(
        "‖∇‖₂", "input gradient", "the size of the loss's gradient at the image", large_is_worse=True
    ),
    "curvature": Quantity(
        "‖H‖₂", "curvature", "the largest eigenvalue of the loss's Hessian, exact", large_is_worse=True
    ),
    "taylor_radius": Quantity(
        "‖r*‖₂", "Taylor radius", "the distance to the boundary of the loss's quadratic model"
    ),
    "margin": Quantity("d", "margin", "the distance to the boundary of the local affine classifier"),
    "edge": Quantity("e", "polytope's edge", "the distance to where the local map stops being exact"),
    "certificate": Quantity("c", "certificate", "min(d, e): nothing nearer fools the network"),
    "certified": Quantity(
        "ρ ≥", "proved", "nothing nearer fools the network: the certificate, or what a longer proof reached"
    ),
    "attacked": Quantity("a", "attacked", "the distance to the nearest mistake that an attack reached"),
    "found": Quantity("ρ ≤", "known", "the distance to the nearest mistake known, by attack or proof"),
}
"""Columns with numbers, in the order of the report; the last five for a sample of the images.

The true distance ρ to the nearest mistake lies between `certified` and `found`.

From the Taylor radius on they are lengths, in the units of a pixel.
"""

HYPOTHESES = {
    "correct": "classified correctly",
    "confident": "p_y > ½",
    "off_kinks": "off the kinks",
    "unsaturated": "p_y not rounded to one",
    "linear_at_radius": "the local map still exact at x + r*",
}
"""Columns that are true or false, in the words of the report."""


def compressed(V: Jacobian) -> Tensor:
    """A triangular R (…, min(n, K), K), float64, with RᵀR = VᵀV: what the theory sees of V.

    By blocks of rows, each with a QR decomposition, so that no digit is lost to squares.

    >>> compressed(torch.tensor([[3.0, 0.0], [0.0, 1.0], [4.0, 0.0]])).abs()
    tensor([[5., 0.],
            [0., 1.]], dtype=torch.float64)
    """
    n, K = V.shape[-2:]
    if n <= K:
        return V.double()
    rows = max(K, BYTES_OF_V // (16 * K * max(1, V.shape[:-2].numel())))
    R = V.new_zeros((*V.shape[:-2], 0, K), dtype=torch.float64)
    for block in V.split(rows, dim=-2):
        R = torch.linalg.qr(torch.cat([R, block.double()], dim=-2), mode="r").R
    return R


def images_at_once(image: Tensor, classes: int) -> int:
    """How many images' Jacobians fit into `BYTES_OF_V`; at least one."""
    return max(1, min(IMAGES_AT_ONCE, BYTES_OF_V // (image.numel() * classes * image.element_size())))


def measure(
    network: nn.Module, images: Tensor, labels: Tensor, *, piecewise_linear: bool = True
) -> Iterator[pd.DataFrame]:
    """The columns of `QUANTITIES` up to the margin, and of `HYPOTHESES`, a chunk of images at a time.

    NaN where a quantity is not defined: the radius and the margin of a misclassified image, the
    curvature and all that rests on it where the network is not piecewise linear.

    Args:
        images: (N, …), of the network's dtype and on its device.
        labels: (N,).
    """
    with torch.no_grad():
        classes = network(images[:1]).shape[1]
    step = images_at_once(images[0], classes)
    for first in range(0, len(images), step):
        part = slice(first, first + step)
        yield _rows(network, images[part], labels[part], piecewise_linear)


def _rows(network: nn.Module, x: Tensor, y: Tensor, piecewise_linear: bool) -> pd.DataFrame:
    import pandas as pd

    V, working_z = local_map(network, x, check=False)
    R, z = compressed(V), working_z.double()
    correct = probability.correctly_classified(z, y)
    confidence = probability.label_probability(z, y)
    nu = derivatives.cross_lipschitz(R) if z.shape[1] == 2 else derivatives.cross_lipschitz_squared(R).sqrt()
    columns = {
        "label": y,
        "prediction": z.argmax(dim=1),
        "loss": probability.loss(z, y),
        "probability": confidence,
        "logit_margin": probability.logit_margin(z, y),
        "cross_lipschitz": nu,
        "cross_lipschitz_squared": derivatives.cross_lipschitz_squared(R),
        "lipschitz": derivatives.lipschitz(R),
        "gradient": bounds.gradient_norm(R, z, y),
        "curvature": torch.full_like(nu, math.nan),
        "taylor_radius": torch.full_like(nu, math.nan),
        "margin": torch.full_like(nu, math.nan),
        "correct": correct,
        "confident": confidence > 0.5,
        "unsaturated": ~saturates(working_z, y),
    }
    if piecewise_linear:
        columns["curvature"] = derivatives.curvature(R, z)
        columns["off_kinks"] = ~kinks(network, x, check=False)  # `affine.verdict` made the trials
        columns["margin"][correct] = margin_l2(R[correct], z[correct], y[correct])
        linear = torch.zeros_like(correct)
        for i in correct.nonzero().flatten().tolist():
            alone = slice(i, i + 1)  # one image for which r* is undefined must not stop the others
            perturbation = _taylor_perturbation(R[alone], z[alone], y[alone])
            if perturbation is not None:
                columns["taylor_radius"][i] = torch.linalg.vector_norm(perturbation)
                linear[i] = _linear_at(network, x[alone], V[i], z[i], R[i], perturbation)
        columns["linear_at_radius"] = linear
    return pd.DataFrame({name: values.detach().cpu().numpy() for name, values in columns.items()})


def _taylor_perturbation(R: Tensor, z: Tensor, y: Tensor) -> Tensor | None:
    """r* in the coordinates of R (min(n, K),); None where it is not defined."""
    try:
        return exact_perturbation_l2(R, z, y)[0]
    except RegrobError:
        return None


def _linear_at(network: nn.Module, x: Tensor, V: Tensor, z: Tensor, R: Tensor, perturbation: Tensor) -> bool:
    """Whether z(x + r*) = z + Vᵀr*, up to `LINEAR`; r* = V c with R c = its coordinates."""
    coefficients = torch.linalg.pinv(R) @ perturbation
    r = (V @ coefficients.to(V)).view_as(x)
    with torch.no_grad():
        moved = network(x + r)[0].double() - z
    expected = R.T @ perturbation
    rounding = 100 * torch.finfo(V.dtype).eps * float(z.abs().max())
    return float((moved - expected).abs().max()) <= LINEAR * float(expected.abs().max()) + rounding
