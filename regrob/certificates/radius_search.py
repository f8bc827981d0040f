"""The largest radius that linear bounds certify."""

from __future__ import annotations

import torch
from torch import nn

from regrob.certificates.balls import ball_around
from regrob.certificates.linear_bounds import LinearAnalysis
from regrob.checks import ImageLabels, Images, PerImage, check_count, check_labels, check_size


def linear_radius(
    network: nn.Module,
    images: Images,
    labels: ImageLabels,
    *,
    norm: float = 2.0,
    box: tuple[float, float] | None = (0.0, 1.0),
    halvings: int = 12,
    most: float = 8.0,
    check: bool = True,
) -> PerImage:
    """A radius below which no perturbation fools the network, by linear bounds and halving: (N,), float64.

    Zero where the image is misclassified. The radius is one at which the bounds themselves were positive, so
    nothing is assumed of radii in between.

    Args:
        network, norm, box, check: as of `linear_bounds`.
        halvings: of the interval from 0 to `most`.
        most: no larger radius is looked at.

    Raises:
        InputError, NotPiecewiseLinearError, UnsuitableNetworkError: as `linear_bounds`.

    >>> network = nn.Sequential(nn.Flatten(), nn.ReLU())
    >>> linear_radius(network, torch.tensor([[0.75, 0.25]]), torch.tensor([0]), halvings=30)  # 0.5/√2
    tensor([0.3536], dtype=torch.float64)
    """
    check_count("halvings", halvings)
    check_size("most", most)
    analysis = LinearAnalysis(network, images, check=check)
    z = analysis.logits
    check_labels(labels, z)
    classes = z.shape[1]
    certified = torch.zeros(len(z), dtype=torch.float64, device=z.device)
    refused = torch.full_like(certified, most)
    others = torch.arange(classes - 1, device=z.device).expand(len(z), -1)
    rivals = others + (others >= labels[:, None])
    active = (z.argmax(dim=1) == labels).nonzero()[:, 0]
    for _ in range(halvings):
        if not len(active):
            break
        middle = (certified[active] + refused[active]) / 2
        ball = ball_around(analysis.images[active], middle, norm=norm, box=box)
        margins = analysis.margins(ball, labels[active], rivals[active], active).margins
        holds = (margins > 0).all(dim=1)
        certified[active] = torch.where(holds, middle, certified[active])
        refused[active] = torch.where(holds, refused[active], middle)
    return certified
