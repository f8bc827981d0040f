"""On networks built to break relaxations no certificate exceeds the exact distance, nor does any fail."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import pytest
import torch
from exact_distances import layers_of, nearest_mistake
from hard_networks import KINDS, Kind, hard
from torch import Tensor, nn

from regrob.affine import relu_layers
from regrob.certificates import Search, cross_lipschitz_radius, linear_radius, quadratic_radius

NODES = 5
"""Of branch and bound, an image: its interval is right at any time."""

CLEAR = 1e-9
"""A margin counts where it is so many times the largest logit; below, it is a tie up to rounding."""


class Known(NamedTuple):
    """A network, images that it classifies clearly, its answers, and their exact distances by norm."""

    network: nn.Sequential
    images: Tensor
    labels: Tensor
    truth: dict[float, Tensor]


@cache
def known(kind: Kind, seed: int = 0) -> Known:
    network, images = hard(kind, seed)
    with torch.no_grad():
        z = network(images)
    top = z.topk(2, dim=1).values
    clear = top[:, 0] - top[:, 1] > CLEAR * z.abs().amax(dim=1)
    images, labels = images[clear], z.argmax(dim=1)[clear]
    weights, biases = layers_of(network)
    truth = {
        norm: torch.tensor(
            [
                nearest_mistake(weights, biases, x, int(y), norm=norm).distance
                for x, y in zip(images, labels, strict=True)
            ],
            dtype=torch.float64,
        )
        for norm in (2.0, math.inf)
    }
    return Known(network, images, labels, truth)


def holds(certified: Tensor, truth: Tensor, norm: float) -> bool:
    return bool((certified <= truth * (1 + (1e-9 if norm == 2 else 1e-6)) + (norm != 2) * 1e-7).all())


@pytest.mark.parametrize(
    ("kind", "norm"),
    [*((kind, 2.0) for kind in KINDS), *((kind, math.inf) for kind in KINDS[:5])],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_no_certificate_exceeds_the_truth(kind: Kind, norm: float) -> None:
    case = known(kind)
    if not len(case.labels):
        pytest.skip("every image is at a tie")
    truth = case.truth[norm]
    given = (case.network, case.images, case.labels)
    assert holds(linear_radius(*given, norm=norm), truth, norm)
    assert norm != 2.0 or holds(quadratic_radius(*given), truth, norm)
    assert holds(cross_lipschitz_radius(*given, norm=norm), truth, norm)
    layers = relu_layers(case.network, case.images)
    for x, y, exact in zip(case.images, case.labels, truth, strict=True):
        search = Search(layers, x, int(y), norm=norm)
        search.advance(nodes=NODES)
        assert search.certified <= search.found
        assert holds(torch.tensor([search.certified], dtype=torch.float64), exact[None], norm)
        assert search.found >= float(exact) * (1 - 1e-6) - 1e-7


def test_the_truth_is_short_enough_to_tell_a_certificate_that_is_too_long() -> None:
    closed = 0
    for kind in KINDS[:4]:
        case = known(kind)
        finite = case.truth[2.0].isfinite()
        if not bool(finite.any()):
            continue
        layers = relu_layers(case.network, case.images)
        x, y, exact = (part[finite][0] for part in (case.images, case.labels, case.truth[2.0]))
        search = Search(layers, x, int(y))
        search.advance(nodes=NODES)
        closed += not holds(1.02 * torch.tensor([search.certified], dtype=torch.float64), exact[None], 2.0)
    assert closed >= 2
