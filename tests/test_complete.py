"""Branch and bound against enumeration and integer programming: certified ≤ true ≤ found."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from exact_distances import nearest_mistake, nearest_mistake_by_milp

from regrob.affine import ReluLayers, relu_layers
from regrob.certificates import complete
from regrob.certificates.complete import Relaxation, Search
from regrob.errors import InputError
from regrob.networks import mlp, scatter_biases


def made(widths: tuple[int, ...], seed: int) -> tuple[ReluLayers, torch.Tensor, int]:
    """A random network whose kinks lie in the box, and an image with its class."""
    generator = torch.Generator().manual_seed(seed)
    network = scatter_biases(mlp(widths, generator=generator), 0.4, generator).double()
    with torch.no_grad():
        network[1].bias -= network[1].weight @ torch.full((widths[0],), 0.5).double()
    x = torch.rand(widths[0], generator=generator, dtype=torch.float64)
    layers = relu_layers(network, x[None])
    return layers, x, int(layers.logits(x).argmax())


def truth(layers: ReluLayers, x: torch.Tensor, label: int, **options: object) -> float:
    return nearest_mistake(*layers, x, label, **options).distance


WIDTHS = [(2, 6, 2), (2, 6, 6, 3), (3, 4, 4, 3, 3), (4, 8, 3)]


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize(
    ("norm", "box", "dual"),
    [
        (2.0, (0.0, 1.0), True),
        (2.0, None, True),
        (2.0, (0.0, 1.0), False),
        (math.inf, (0.0, 1.0), False),
    ],
)
def test_the_interval_closes_on_the_true_distance(widths, norm, box, dual) -> None:
    for seed in range(2):
        layers, x, label = made(widths, seed)
        search = Search(layers, x, label, norm=norm, box=box, dual=dual)
        exact = truth(layers, x, label, norm=norm, box=box)
        if box is None and exact > 2.0:  # out there nothing is at work but the first layer's spread
            continue
        assert search.advance(nodes=2000) == "closed"
        assert search.certified <= exact * (1 + 1e-9)
        if math.isinf(exact):
            assert search.certified == search.found == math.inf
            assert search.mistake is None
            continue
        assert 0.99 * search.found <= search.certified <= exact <= search.found * (1 + 1e-9)


def test_the_cube_against_integer_programming() -> None:
    for seed in range(2):
        layers, x, label = made((5, 4, 4, 3), seed)
        search = Search(layers, x, label, norm=math.inf)
        assert search.advance(nodes=3000) == "closed"
        exact = nearest_mistake_by_milp(*layers, x, label)
        assert search.certified <= exact + 1e-6
        assert search.found >= exact - 1e-6


def test_a_relaxation_that_is_a_little_too_good_is_caught(monkeypatch) -> None:
    right = Relaxation.bounds

    def narrow(self, *args, **kwargs):
        bounds = right(self, *args, **kwargs)
        return bounds._replace(upper=[0.9 * up - 0.02 for up in bounds.upper])

    monkeypatch.setattr(Relaxation, "bounds", narrow)
    caught = 0
    for search, exact in map(blind, (2, 4)):
        caught += search.certified > exact * (1 + 1e-9)
    assert caught > 0


def hard(seed: int = 3) -> Search:
    layers, x, label = made((12, 16, 12, 3), seed)
    return Search(layers, x, label, tolerance=1e-3, batch=1, dual=False)


def test_the_interval_only_shrinks_and_is_seen_after_each_round() -> None:
    search, seen = hard(), []
    search.advance(nodes=25, watch=lambda s: seen.append((s.nodes, s.certified, s.found)))
    assert len(seen) > 3
    for (fewer, low, high), (more, higher, lower) in itertools.pairwise(seen):
        assert fewer < more
        assert low <= higher <= lower <= high
    assert seen[-1][1] > seen[0][1]


def test_in_pieces_it_is_the_same_search() -> None:
    whole, pieces = hard(), hard()
    whole.advance(nodes=20)
    while pieces.nodes < whole.nodes:
        pieces.advance(nodes=1)
    assert (pieces.nodes, pieces.certified, pieces.found) == (whole.nodes, whole.certified, whole.found)


def test_an_interruption_loses_no_node(monkeypatch) -> None:
    layers, x, label = made((2, 8, 8, 3), 2)
    exact = truth(layers, x, label)
    search = Search(layers, x, label, tolerance=1e-6, batch=4)
    bound, calls = Search._bound, 0

    def interrupted(self, group) -> None:
        nonlocal calls
        calls += 1
        if calls % 3 == 0:
            raise KeyboardInterrupt
        bound(self, group)

    monkeypatch.setattr(Search, "_bound", interrupted)
    for _ in range(400):
        before = search.certified
        try:
            if search.advance(nodes=3) == "closed":
                break
        except KeyboardInterrupt:
            assert before <= search.certified <= exact
    assert search.closed
    assert (1 - 1e-6) * search.found <= search.certified <= exact * (1 + 1e-9)


def blind(seed: int, *, dual: bool = False) -> tuple[Search, float]:
    """A search that believes no mistake, so that nothing but its proof keeps it below the truth."""
    layers, x, label = made((2, 8, 8, 3), seed)
    search = Search(
        layers, x, label, dual=dual, confirm=lambda points: torch.zeros(len(points), dtype=torch.bool)
    )
    search.advance(nodes=30)
    return search, truth(layers, x, label)


@pytest.mark.parametrize("kept", [(1, -1), (1, 1)])
def test_a_lost_node_is_seen(monkeypatch, kept) -> None:
    part = Search._part
    signs = dict(zip((1, -1), kept, strict=True))
    monkeypatch.setattr(Search, "_part", lambda self, node, unit, sign: part(self, node, unit, signs[sign]))
    beyond = [search.certified > exact * (1 + 1e-9) for search, exact in map(blind, (2, 4))]
    assert any(beyond) == (kept == (1, 1))


@pytest.mark.parametrize("factor", [1.0, 1.05])
def test_the_dual_is_believed_no_further_than_it_goes(monkeypatch, factor) -> None:
    right = complete.node_dual

    def too_good(*args, **kwargs):
        said = right(*args, **kwargs)
        return said._replace(distance=factor * said.distance)

    monkeypatch.setattr(complete, "node_dual", too_good)
    beyond = [
        search.certified > exact * (1 + 1e-9) for search, exact in (blind(seed, dual=True) for seed in (2, 4))
    ]
    assert any(beyond) == (factor > 1.0)


def test_the_dual_spares_nodes() -> None:
    layers, x, label = made((12, 16, 12, 3), 3)
    alone, helped = (Search(layers, x, label, tolerance=1e-3, dual=dual) for dual in (False, True))
    for search in (alone, helped):
        search.advance(nodes=100)
    assert helped.closed
    assert 2 * helped.nodes < alone.nodes
    assert helped.certified <= alone.found * (1 + 1e-9)


def test_starts_outside_the_box_are_put_into_it() -> None:
    layers = ReluLayers((torch.tensor([[0.0], [1.0]]).double(),), (torch.tensor([0.5, 0.0]).double(),))
    search = Search(layers, torch.tensor([0.25]).double(), 0, box=(0.0, 0.45), starts=torch.tensor([[0.7]]))
    assert search.found == math.inf
    assert search.advance(nodes=50) == "closed"
    assert search.certified == math.inf
    open_box = Search(layers, torch.tensor([0.25]).double(), 0, starts=torch.tensor([[0.7]]))
    assert open_box.found == pytest.approx(0.45)
    assert open_box.advance(nodes=50) == "closed"
    assert open_box.found == pytest.approx(0.25)


def broken(kind: str) -> tuple[ReluLayers, torch.Tensor, int]:
    layers, x, _ = made((3, 5, 4, 3), 1)
    weights, biases = [w.clone() for w in layers.weights], [b.clone() for b in layers.biases]
    if kind == "dead units":
        biases[0][::2], weights[1][1] = -50.0, 0.0
    elif kind == "ties":
        weights[0][1:4:2], biases[0][1:4:2] = weights[0][:4:2], biases[0][:4:2]
        weights[2][2], biases[2][2] = weights[2][1], biases[2][1]
    elif kind == "huge":
        weights, biases = [w * 1e6 for w in weights], [b * 1e6 ** (k + 1) for k, b in enumerate(biases)]
    elif kind == "tiny":
        weights, biases = [w * 1e-6 for w in weights], [b * 1e-6 ** (k + 1) for k, b in enumerate(biases)]
    elif kind == "saturated":
        x = torch.tensor([0.0, 1.0, 1.0]).double()
    elif kind == "on a kink":
        biases[0] = -weights[0] @ x
    elif kind == "no units":
        weights, biases = [weights[0][:3]], [biases[0][:3]]
    layers = ReluLayers(tuple(weights), tuple(biases))
    return layers, x, int(layers.logits(x).argmax())


KINDS = ["dead units", "ties", "huge", "tiny", "saturated", "on a kink", "no units"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", [2.0, math.inf])
def test_networks_made_to_break_relaxations(kind: str, norm: float) -> None:
    layers, x, label = broken(kind)
    search = Search(layers, x, label, norm=norm)
    search.advance(nodes=1500)
    exact = truth(layers, x, label, norm=norm)
    assert search.closed
    assert search.certified <= exact * (1 + 1e-9)
    assert search.found >= exact * (1 - 1e-9)


def test_a_misclassified_image_is_its_own_mistake() -> None:
    layers, x, label = made((2, 6, 3), 0)
    search = Search(layers, x, (label + 1) % 3)
    assert (search.found, search.certified, search.advance()) == (0.0, 0.0, "closed")
    assert torch.equal(search.mistake, x)


def test_a_mistake_that_is_not_confirmed_does_not_count() -> None:
    search, exact = blind(2)
    assert search.found == math.inf
    assert search.certified <= exact < math.inf


@pytest.mark.parametrize(
    ("options", "words"),
    [({"norm": 1.0}, "norm 2 or infinity"), ({"tolerance": 1.0}, "tolerance"), ({"box": (0.6, 1.0)}, "box")],
)
def test_what_makes_no_sense_is_refused(options, words) -> None:
    layers, x, label = made((2, 6, 2), 0)
    with pytest.raises(InputError, match=words):
        Search(layers, torch.full_like(x, 0.5), label, **options)
