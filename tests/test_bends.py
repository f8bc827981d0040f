"""The edge of every bend, against brute force: affine up to it in all directions, and no longer beyond."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regrob.affine import bends, kinks, local_map
from regrob.certificates import edge_distance
from regrob.errors import NotPiecewiseLinearError

Operation = Callable[[Tensor], Tensor]


class Between(nn.Module):
    """An operation on six hidden units, between two random layers."""

    def __init__(self, operation: Operation, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.operation = operation
        self.first = nn.Linear(2, 6).double()
        self.width = operation(torch.ones(1, 6, dtype=torch.float64)).flatten(1).shape[1]
        self.last = nn.Linear(self.width, 3).double()
        with torch.no_grad():
            for weight in self.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(self.operation(self.first(x)).flatten(1))
        return logits


BOUND = torch.tensor([0.5, -0.5, 1.0, 0.2, -1.0, 0.0], dtype=torch.float64)
MASK = torch.tensor([True, False, True, True, False, True])
PLACES = torch.tensor([1, 4])


def grid(h: Tensor) -> Tensor:
    return h.view(-1, 2, 3)


def unpooled(h: Tensor) -> Tensor:
    pooled, places = F.max_pool2d(grid(h)[:, None], (1, 3), return_indices=True)
    return F.max_unpool2d(pooled, places, (1, 3))


BENDING: dict[str, Operation] = {
    "topk": lambda h: h.topk(3, dim=1).values,
    "topk of all": lambda h: h.topk(6, dim=1).values,
    "topk, the smallest": lambda h: h.topk(2, dim=1, largest=False).values,
    "topk, unsorted": lambda h: h.topk(3, dim=1, sorted=False).values,
    "topk, its places": lambda h: h * torch.zeros_like(h).scatter(1, h.topk(2, dim=1).indices, 1.0),
    "kthvalue": lambda h: h.kthvalue(2, dim=1, keepdim=True).values,
    "median": lambda h: h.median(dim=1, keepdim=True).values,
    "nanmedian": lambda h: grid(h).nanmedian(dim=2).values,
    "quantile": lambda h: h.quantile(0.3, dim=1, keepdim=True),
    "sort": lambda h: h.sort(dim=1).values,
    "sort along a middle axis": lambda h: grid(h).sort(dim=1, descending=True).values,
    "sort, stable": lambda h: h.sort(dim=1, stable=True).values,
    "argsort": lambda h: h.gather(1, h.argsort(dim=1)),
    "cummax": lambda h: h.cummax(dim=1).values,
    "cummin": lambda h: grid(h).cummin(dim=2).values,
    "aminmax": lambda h: torch.cat(h.aminmax(dim=1, keepdim=True), dim=1),
    "argmax": lambda h: h * F.one_hot(h.argmax(dim=1), 6),
    "argmin": lambda h: grid(h) * F.one_hot(grid(h).argmin(dim=2), 3),
    "norm of order 1": lambda h: torch.linalg.vector_norm(grid(h), 1, dim=2),
    "norm of order ∞": lambda h: torch.linalg.vector_norm(h, math.inf, dim=1, keepdim=True),
    "norm of order ∞, of parts": lambda h: grid(h).norm(p=math.inf, dim=1),
    "norm of order −∞": lambda h: torch.linalg.vector_norm(grid(h), -math.inf, dim=2),
    "distance of order 1": lambda h: F.pairwise_distance(h[:, :3], h[:, 3:], p=1.0, keepdim=True),
    "maximum": lambda h: torch.maximum(h[:, :3], h[:, 3:]),
    "minimum with a constant": lambda h: torch.minimum(BOUND, h),
    "clamp by tensors": lambda h: h.clamp(min=BOUND - 1, max=BOUND + 1),
    "clamp from below by itself": lambda h: h[:, :3].clamp(min=h[:, 3:]),
    "clamp by itself": lambda h: h[:, :2].clamp(min=h[:, 2:4], max=h[:, 4:]),
    "clamp of a constant": lambda h: BOUND[:3].clamp(min=h[:, :3], max=h[:, 3:]),
    "clamp by itself and a number": lambda h: torch.clamp(h[:, :3], torch.tensor(-1.0).to(h), h[:, 3:]),
    "where by a constant mask": lambda h: torch.where(MASK, h.relu(), h.abs()),
    "threshold": lambda h: F.threshold(h, 0.3, -1.0),
    "hardshrink": lambda h: F.hardshrink(h, 0.4),
    "signbit": lambda h: torch.where(torch.signbit(h), 0.1 * h, h),
    "a power of one": lambda h: (h**1).relu(),
    "index_fill": lambda h: h.index_fill(1, PLACES, 0.7).relu(),
    "rot90": lambda h: grid(h).rot90(1, (1, 2)).cummax(dim=2).values,
    "unpooling": unpooled,
    "cross": lambda h: torch.linalg.cross(grid(h), BOUND[:3].expand(1, 2, 3)).relu(),
    "nan_to_num": lambda h: torch.nan_to_num(h).relu(),
    "block_diag": lambda h: torch.stack([torch.block_diag(*part) for part in grid(h)]).relu(),
}

CAREFUL = frozenset([
    "topk, unsorted", "topk, its places", "quantile", "clamp by itself", "clamp of a constant",
    "clamp by itself and a number",
])  # fmt: skip
"""Some units of these may switch without another map: their edge is at times too near."""

CIRCLE = torch.linspace(0, 2 * math.pi, 91, dtype=torch.float64)[:-1]
DIRECTIONS = torch.stack([CIRCLE.cos(), CIRCLE.sin()], dim=1)


def bent(network: nn.Module, x: Tensor, radius: float) -> bool:
    """Whether another affine map than that of x holds somewhere on a circle around it."""
    V, z = local_map(network, x, check=False)
    around = x + radius * DIRECTIONS
    there = local_map(network, around, check=False)
    predicted = z + (around - x) @ V[0]
    return not (
        torch.allclose(there.V, V.expand_as(there.V), rtol=1e-9, atol=1e-9)
        and torch.allclose(there.z, predicted, rtol=1e-9, atol=1e-9)
    )


def images(count: int, seed: int) -> Tensor:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", BENDING)
def test_the_map_is_affine_up_to_the_edge_and_not_beyond(name: str) -> None:
    beyond = []
    for seed in range(3):
        network, x = Between(BENDING[name], seed), images(4, seed)
        radii = edge_distance(network, x)
        assert not bool(kinks(network, x).any())
        for image, radius in zip(x.split(1), radii.tolist(), strict=True):
            for share in (0.1, 0.5, 0.999):
                assert not bent(network, image, share * radius)
            beyond.append(bent(network, image, 1.02 * radius))
    assert any(beyond) if name in CAREFUL else all(beyond)


def test_a_bend_without_some_of_its_units_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tooth: neighbours of the median by rank alone, or a norm's entry without its other sign."""

    def radius_is_safe(name: str) -> bool:
        return all(
            not bent(network, image, 0.999 * float(edge_distance(network, image, check=False)))
            for seed in range(4)
            for network in [Between(BENDING[name], seed)]
            for image in images(4, seed).split(1)
        )

    halves = {"topk": "_leaders", "norm of order ∞": "_norm", "cummax": "_records", "median": "_lead"}
    for name, function in halves.items():
        assert radius_is_safe(name)
        whole = getattr(bends, function)

        def half(*given: object, whole: Callable[..., bends.Units] = whole, **by_name: object) -> bends.Units:
            units = whole(*given, **by_name)
            kept = len(units.heights) // 2

            def rise(*operands: Tensor) -> Tensor:
                return units.rise(*operands)[:kept]

            return bends.Units(units.operands, units.heights[:kept], rise)

        with monkeypatch.context() as patch:
            patch.setattr(bends, function, half)
            patch.setattr("regrob.certificates.polytope._require_affine_up_to", lambda *given: None)
            assert not radius_is_safe(name)


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("median", lambda h: h.median()[None, None].expand(len(h), 1)),
        ("aminmax", lambda h: torch.cat([t[None, None] for t in h.aminmax()], 1).expand(len(h), 2)),
        ("argmax", lambda h: h * h.argmax()),
        ("linalg_vector_norm", lambda h: torch.linalg.vector_norm(h, 2, dim=1, keepdim=True)),
        ("linalg_vector_norm", lambda h: torch.linalg.vector_norm(h, 0, dim=1, keepdim=True)),
        ("linalg_vector_norm", lambda h: torch.linalg.vector_norm(h, math.inf)[None, None].expand(len(h), 1)),
        ("pow", lambda h: h**2),
        ("pow", lambda h: 2**h),
        ("mode", lambda h: h.mode(dim=1, keepdim=True).values),
        ("renorm", lambda h: h.renorm(1, 0, 1.0)),
        ("_prelu_kernel", lambda h: F.prelu(h, h[0, :1])),
        ("linalg_cross", lambda h: torch.linalg.cross(grid(h), grid(h).flip(2))),
        ("round", torch.round),
    ],
)
def test_what_has_no_exact_heights_is_refused_by_name(name: str, operation: Operation) -> None:
    with pytest.raises(NotPiecewiseLinearError, match=name):
        edge_distance(Between(operation, 0), images(1, 0))


def test_ties_at_a_rank_are_kinks() -> None:
    network = Between(lambda h: h[:, :2].sort(dim=1).values, 0)
    with torch.no_grad():
        network.first.weight.copy_(torch.eye(6, 2))
        network.first.bias.zero_()
    x = torch.tensor([[0.5, 0.5], [0.5, 0.4]], dtype=torch.float64)
    assert kinks(network, x).tolist() == [True, False]
    assert edge_distance(network, x).tolist() == pytest.approx([0.0, 0.1 / math.sqrt(2)])
