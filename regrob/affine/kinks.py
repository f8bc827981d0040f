"""Kinks, where several affine maps meet."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine.bends import POOLS, TAKEN, Bend
from regrob.affine.graph import Trace
from regrob.affine.heights import along, gradient
from regrob.affine.piecewise_linear import require_affine_operations, require_known_bends
from regrob.checks import ImageMask, Images, check_images

CHUNK = 64
"""Images traced at a time."""

TIES = frozenset([*POOLS, *TAKEN, "sort", "topk", "aminmax", "cummax", "cummin"])
"""Operations that bend where two of their entries are equal."""


def kinks(network: nn.Module, images: Images, *, check: bool = True) -> ImageMask:
    """Which images sit on a kink, where several affine maps meet.

    An image does if a unit's height (a pre-activation less its threshold, a maximum's lead over another
    entry) is exactly zero and its gradient is not. A zero with a zero gradient is no kink: the height stays
    zero around the image, as behind a ReLU that is off, in a pruned channel, or between two equal entries of
    a pool that move together. This is exact: take the first unit, in the order of the operations, whose
    height is zero and its gradient is not. All before it are affine around the image, so autograd's
    gradient is that of its height, which changes sign there; if there is none, nothing bends.

    Args:
        check: `require_known_bends`, some ten passes of two images. The operations are judged anyway.

    Raises:
        InputError: images that are no finite batch, or that the network cannot read.
        NotPiecewiseLinearError: an operation is neither affine nor a known bend; as `require_known_bends`.

    >>> kinks(nn.ReLU(), torch.tensor([[1.0, -1.0], [1.0, 0.0]]))
    tensor([False,  True])
    >>> twice = nn.Sequential(nn.ReLU(), nn.ReLU())  # behind a unit that is off
    >>> kinks(twice, torch.tensor([[1.0, -1.0]]))
    tensor([False])
    """
    check_images(images)
    if check:
        require_known_bends(network, images)
    return torch.cat([_kinks(require_affine_operations(network, part)) for part in images.split(CHUNK)])


class Kink(NamedTuple):
    """Where an image sits on a kink.

    Attributes:
        operation, module: the first that several affine maps meet at, as in `Refusal`.
        tie: whether two entries, of a pool or a maximum, are equal; else a value is at its threshold.
    """

    operation: str
    module: str
    tie: bool


def first_kinks(network: nn.Module, images: Images) -> list[Kink | None]:
    """The first kink that each image sits on, in the order of the operations; None off the kinks.

    Raises:
        InputError, NotPiecewiseLinearError: as `kinks`.

    >>> first_kinks(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), torch.ones(1, 2))
    [None]
    >>> first_kinks(nn.Sequential(nn.Identity(), nn.ReLU()), torch.tensor([[1.0, 0.0]]))
    [Kink(operation='relu', module="ReLU '1'", tie=False)]
    """
    check_images(images)
    places: list[Kink | None] = []
    for part in images.split(CHUNK):
        traced = require_affine_operations(network, part)
        first: list[Kink | None] = [None] * len(part)
        for bend, coefficients in _crossings(traced):
            kink = Kink(bend.operation, bend.module, bend.operation in TIES)
            shows = gradient(traced, [(bend, coefficients)]).flatten(1).any(dim=1).tolist()
            first = [kink if own is None and on else own for own, on in zip(first, shows, strict=True)]
        places += first
    return places


def _kinks(traced: Trace) -> Tensor:
    return gradient(traced, _crossings(traced)).flatten(1).any(dim=1)


def _crossings(traced: Trace) -> list[tuple[Bend, Tensor]]:
    """Random coefficients (M,) of the units whose height is zero and its gradient is not; else zero."""
    generator = torch.Generator().manual_seed(0)

    def random(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)

    bends = [bend for bend in traced.bends if bool((bend.units.heights == 0).any())]
    # Along a random direction a gradient other than zero shows, unit by unit; so does, in a random
    # combination of those that show, the image to which they belong.
    changes = along(traced, bends, random(traced.images)[None])
    crossing = [
        (bend.units.heights == 0) & (change[0] != 0) for bend, change in zip(bends, changes, strict=True)
    ]
    return [(bend, at * random(bend.units.heights)) for bend, at in zip(bends, crossing, strict=True)]
