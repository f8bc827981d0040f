"""`certify`, the one call: what it returns of networks that its readers bring."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

import regrob
from regrob import cli
from regrob.affine import relu_layers
from regrob.certificates import linear_radius, quadratic_radius
from regrob.errors import InputError, NotPiecewiseLinearError, UnsuitableNetworkError
from regrob.examination import certification
from regrob.networks import mlp, scatter_biases


def problem(dtype: torch.dtype = torch.float32) -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    network = scatter_biases(mlp((6, 9, 7, 3), generator=generator), 0.4, generator).to(dtype)
    images = torch.rand(5, 1, 2, 3, generator=generator).to(dtype)
    with torch.no_grad():
        labels = network(images).argmax(dim=1)
    labels[-1] = (labels[-1] + 1) % 3
    return network, images, labels


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", [2.0, math.inf])
def test_an_interval_and_a_mistake_an_image(dtype: torch.dtype, norm: float) -> None:
    network, images, labels = problem(dtype)
    known = regrob.certify(network, images, labels, norm=norm, seconds=20.0)
    assert known.reasons[:-1] == ("closed",) * 4
    assert known.reasons[-1] == "misclassified"
    assert (known.certified[-1], known.found[-1]) == (0.0, 0.0)
    assert bool((known.certified <= known.found).all())
    assert bool((known.certified >= 0.99 * known.found).all())
    there = known.found < math.inf
    assert bool(there.any())
    with torch.no_grad():
        assert bool((network(known.mistakes[there]).argmax(dim=1) != labels[there]).all())
    away = (known.mistakes.double() - images.double())[there].flatten(1)
    assert torch.allclose(torch.linalg.vector_norm(away, ord=norm, dim=1), known.found[there], rtol=1e-9)
    assert bool(((known.mistakes[there] >= 0) & (known.mistakes[there] <= 1)).all())
    assert bool(known.mistakes[~there].isnan().all())


def test_without_time_only_the_attack_speaks() -> None:
    network, images, labels = problem()
    words: list[tuple[str, float]] = []
    known = regrob.certify(
        network, images, labels, seconds=0.0, progress=lambda text, share: words.append((text, share))
    )
    assert set(known.reasons[:-1]) == {"time"}
    assert not known.certified.any()
    assert bool((known.found[:-1] > 0).all())
    assert words[-1][1] == 1.0


def test_a_clock_of_ones_own() -> None:
    network, images, labels = problem()
    ticks = iter(range(10**6))
    known = regrob.certify(network, images, labels, seconds=2.0, clock=lambda: float(next(ticks)))
    assert bool((known.seconds[:-1] >= 1).all())
    assert known.seconds[-1] == 0


def test_an_interruption_returns_what_is_known(monkeypatch) -> None:
    network, images, labels = problem()
    search, calls = certification.Search, 0
    advance = search.advance

    def interrupted(self, *args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return advance(self, *args, **kwargs)

    monkeypatch.setattr(search, "advance", interrupted)
    known = regrob.certify(network, images, labels, seconds=20.0)
    assert known.reasons == ("closed", "interrupted", "interrupted", "interrupted", "misclassified")
    assert bool((known.certified <= known.found).all())
    assert known.certified[0] > 0


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"seconds": -1.0}, InputError, "seconds"),
        ({"seconds": math.nan}, InputError, "seconds"),
        ({"seconds": None}, InputError, "seconds"),
        ({"norm": 0.5}, InputError, "norm"),
        ({"norm": "inf"}, InputError, "norm"),
        ({"norm": math.nan}, InputError, "norm"),
        ({"tolerance": 1.0}, InputError, "tolerance"),
        ({"tolerance": "1 %"}, InputError, "tolerance"),
        ({"box": (0.4, 0.6)}, InputError, "image 0 has a pixel of 0.* outside the box"),
        ({"box": (1.0, 0.0)}, InputError, "low < high"),
        ({"box": (0.0, math.inf)}, InputError, "two finite numbers"),
        ({"box": (0.0, 1e300)}, InputError, "two finite numbers"),
        ({"box": "auto"}, InputError, "two finite numbers"),
        ({"box": (torch.zeros(6), torch.ones(6))}, InputError, "range of every pixel"),
        ({"network": lambda x: x}, InputError, "got a function"),
        ({"network": None}, InputError, "got NoneType"),
        ({"images": torch.rand(5, 6).double()}, InputError, "images.to"),
        ({"images": torch.rand(5, 6).half()}, InputError, "too coarse"),
        ({"images": torch.rand(5, 7)}, InputError, "cannot read"),
        ({"images": torch.full((5, 6), math.nan)}, InputError, "NaN"),
        ({"images": torch.rand(0, 6)}, InputError, "N ≥ 1"),
        ({"labels": torch.arange(5)}, InputError, "label 3"),
        ({"labels": torch.zeros(5)}, InputError, "int64"),
        ({"labels": [0] * 5}, InputError, "int64"),
        ({"network": nn.Sequential(mlp((6, 3)), nn.Dropout()).train()}, NotPiecewiseLinearError, "eval"),
        ({"network": nn.Sequential(mlp((6, 3)), nn.GELU())}, NotPiecewiseLinearError, "GELU '1'"),
        ({"network": nn.Sequential(mlp((6, 3)), nn.Softmax(1))}, NotPiecewiseLinearError, "Softmax '1'"),
    ],
)
def test_what_makes_no_sense_is_refused(change, error, words) -> None:
    network, images, labels = problem()
    given = {"network": network, "images": images, "labels": labels}
    with pytest.raises(error, match=words):
        regrob.certify(**{**given, **change})


def test_a_network_without_a_mistake_is_certified_everywhere() -> None:
    class Constant(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tensor([1.0, 2.0]).expand(len(x), 2)

    for network in (
        Constant(),
        mlp((3, 4, 2)),
        nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(), nn.Linear(4, 2)),
    ):
        for weight in network.parameters():
            nn.init.constant_(weight, 1e-3 if weight.ndim > 1 else 0.0)
        if not isinstance(network, Constant):
            nn.init.constant_(network[-1].bias[1:], 3.0)
        known = regrob.certify(network, torch.rand(2, 3), torch.tensor([1, 0]))
        assert known.reasons == ("closed", "misclassified")
        assert known.certified.tolist() == known.found.tolist() == [math.inf, 0.0]


def test_a_mistake_that_single_precision_confirms_only_farther_away_is_found() -> None:
    """The rival gains 0.007 a unit of length: less than the logits' rounding near the boundary."""
    network = nn.Linear(2, 2, bias=True)
    network.weight.data = torch.tensor([[0.0, 0.0], [0.007, 0.0]])
    network.bias.data = torch.tensor([1.0, 1.0 - 0.007 * 0.01])
    known = regrob.certify(network, torch.zeros(1, 2), torch.tensor([0]))
    assert 0.0 < float(known.certified) <= float(known.found) < 0.03


def test_the_box_is_that_of_the_images_precision() -> None:
    network, _, _ = problem()
    images = torch.full((1, 1, 2, 3), 0.1)  # in float64 above 0.1
    labels = network(images).argmax(dim=1)
    known = regrob.certify(network, images, labels, box=(-0.3, 0.1))
    assert known.reasons[0] in ("closed", "time")
    assert float(known.mistakes.max()) <= float(torch.tensor(0.1)) or not math.isfinite(known.found)


def test_it_works_under_inference_mode() -> None:
    network, images, labels = problem()
    outside = regrob.certify(network, images[:1], labels[:1])
    with torch.inference_mode():
        assert torch.equal(regrob.certify(network, images[:1] + 0.0, labels[:1]).certified, outside.certified)


@pytest.mark.parametrize("norm", [1.0, 3.0])
def test_another_norm_gets_linear_bounds(norm: float) -> None:
    generator = torch.Generator().manual_seed(4)
    network = scatter_biases(mlp((3, 5, 3), generator=generator), 0.4, generator)
    images = torch.rand(4, 3, generator=generator)
    labels = network(images).argmax(dim=1)
    known = regrob.certify(network, images, labels, norm=norm)
    assert set(known.reasons) <= {"linear", "closed"}
    grid = torch.linspace(0.0, 1.0, 21)
    points = torch.cartesian_prod(grid, grid, grid)
    with torch.no_grad():
        predicted = network(points).argmax(dim=1)
    compared = 0
    for image, label, certified, found in zip(images, labels, known.certified, known.found, strict=True):
        wrong = predicted != label
        if not bool(wrong.any()):
            continue
        compared += 1
        nearest = float(torch.linalg.vector_norm(points[wrong] - image, ord=norm, dim=1).min())
        assert 0.0 < float(certified) <= min(nearest, float(found))
        assert float(found) <= nearest + 0.1
        assert not 2.0 * float(certified) <= nearest  # the tooth: the grid is fine enough to tell
    assert compared > 1


def test_where_the_attack_fails_a_mistake_is_looked_for_at_random() -> None:
    """All units are saturated at the image, so that no gradient leads anywhere."""
    clamped = nn.Sequential(nn.Linear(2, 2), nn.Hardtanh(0.0, 1.0), nn.LeakyReLU(0.1), nn.Linear(2, 2))
    clamped[0].weight.data, clamped[0].bias.data = -10.0 * torch.eye(2), torch.full((2,), 5.0)
    clamped[3].weight.data = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    clamped[3].bias.data = torch.tensor([0.0, 1.5])
    images = torch.full((1, 2), 0.1)
    known = regrob.certify(clamped, images, torch.tensor([0]))
    assert 0.2 < float(known.certified) <= float(known.found) < 0.36  # the true one is 0.35


def test_a_network_with_other_bends_gets_linear_bounds() -> None:
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.LeakyReLU(0.1), nn.Flatten(), nn.Linear(8, 3)
    )
    for weight in network.parameters():
        nn.init.uniform_(weight, -0.4, 0.4, generator=generator)
    nn.init.zeros_(network[-1].bias)
    images = torch.rand(4, 1, 6, 6, generator=generator)
    with torch.no_grad():
        labels = network(images).argmax(dim=1)
    labels[-1] = (labels[-1] + 1) % 3
    known = regrob.certify(network, images, labels)
    assert set(known.reasons[:-1]) <= {"linear", "closed"}
    assert known.reasons[-1] == "misclassified"
    assert bool((known.certified[:-1] > 0).all())
    assert bool((known.certified <= known.found).all())
    there = known.found < math.inf
    assert bool(there[:-1].any())
    with torch.no_grad():
        assert bool((network(known.mistakes[there]).argmax(dim=1) != labels[there]).all())


def test_a_network_with_pools_gets_the_larger_one_of_two_bounds(monkeypatch) -> None:
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2)
    ).double()  # fmt: skip
    for weight in network.parameters():
        nn.init.normal_(weight, generator=generator)
    images = torch.rand(2, 1, 6, 6, generator=generator).double()
    with torch.no_grad():
        labels = network(images).argmax(dim=1)
    linear = linear_radius(network, images, labels)
    quadratic = quadratic_radius(network, images, labels, rounds=certification.ROUNDS)
    known = regrob.certify(network, images, labels, seconds=60.0)
    assert torch.equal(known.certified, linear.maximum(quadratic).minimum(known.found))
    monkeypatch.setattr(certification, "linear_radius", lambda *given, **settings: torch.zeros(2).double())
    known = regrob.certify(network, images, labels, seconds=60.0)
    assert torch.equal(known.certified, quadratic.minimum(known.found))
    assert not torch.equal(linear, quadratic)


def test_a_network_without_relaxations_is_refused_by_name() -> None:
    class Sorted(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sort(dim=1).values

    with pytest.raises(UnsuitableNetworkError, match="sort"):
        regrob.certify(Sorted(), torch.rand(1, 3), torch.tensor([2]))


@pytest.fixture
def own_network(tmp_path: Path) -> str:
    """A file with a factory of a network and images, one of them without a mistake in the box."""
    file = tmp_path / "own.py"
    file.write_text(
        "import torch\n"
        "from torch import nn\n"
        "def build():\n"
        "    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))\n"
        "    for layer in (network[0], network[2]):\n"
        "        nn.init.eye_(layer.weight), nn.init.zeros_(layer.bias)\n"
        "    return network, torch.tensor([[0.75, 0.25], [0.5, 0.75]]), torch.tensor([0, 0])\n"
    )
    return f"{file}:build"


def test_the_command_prints_a_line_an_image(own_network, capsys) -> None:
    assert cli.main(["certify", own_network, "--seconds", "20"]) == 0
    printed = capsys.readouterr().out
    assert "0.354" in printed
    assert "misclassified" in printed
    assert "1 of 1 intervals closed to 1 %" in printed


def test_the_command_prints_json(own_network, capsys) -> None:
    options = ["--json", "--norm", "inf", "--seconds", "20", "--box=-1,2"]
    assert cli.main(["certify", own_network, *options]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["norm"], printed["box"]) == ("inf", [-1, 2])
    first, second = printed["images"]
    assert first["certified"] <= 0.25 <= first["found"] <= 0.2525
    assert (second["reason"], second["found"]) == ("misclassified", 0)


def test_the_command_takes_any_norm_and_names_what_it_changed(own_network, capsys) -> None:
    assert cli.main(["certify", own_network, "--norm", "1"]) == 0
    assert "ℓ1" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["certify", own_network, "--norm", "0.5"])
    assert "another p of at least 1" in capsys.readouterr().err


def test_what_the_command_cannot_use_as_it_is_it_changes_and_says(tmp_path, capsys) -> None:
    (tmp_path / "coarse.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Pair(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.linear = nn.Linear(2, 2)\n"
        "        nn.init.eye_(self.linear.weight), nn.init.zeros_(self.linear.bias)\n"
        "    def forward(self, x):\n"
        "        return (self.linear(x),)\n"
        "def build():\n"
        "    return Pair().half().train(), torch.tensor([[0.75, 0.25]])\n"
        "def broken():\n"
        "    raise KeyError('gone')\n"
    )
    assert cli.main(["certify", f"{tmp_path}/coarse.py:build"]) == 0
    printed = capsys.readouterr().out
    for words in (
        "torch.float16 was examined as",
        "training mode",
        "a tuple",
        "no labels",
        "1 of 1 intervals",
    ):
        assert words in printed
    assert cli.main(["certify", f"{tmp_path}/coarse.py:broken"]) == 2
    assert "KeyError: 'gone'" in capsys.readouterr().err


def test_a_median_distance_is_never_an_average_with_infinity() -> None:
    assert certification.median_bracket([0.1, math.inf], [0.2, math.inf]) == (0.1, math.inf)


def test_linear_bounds_end_when_their_time_is_up() -> None:
    network = nn.Sequential(nn.Linear(3, 5), nn.LeakyReLU(0.1), nn.Linear(5, 2))
    images = torch.rand(3, 3, generator=torch.Generator().manual_seed(0))
    labels = network(images).argmax(dim=1)
    ticks = iter(range(10**6))
    known = regrob.certify(network, images, labels, seconds=1.0, clock=lambda: float(next(ticks)))
    assert known.reasons == ("time",) * 3
    assert next(ticks) < 20  # asked until it said so, and no more
    enough = regrob.certify(network, images, labels, seconds=20.0)
    assert bool((known.certified <= enough.certified).all())
    assert bool((enough.certified > 0).all())


def test_a_search_starts_from_linear_bounds(monkeypatch) -> None:
    """So that a short budget certifies something; and is no further believed than they go."""
    network, images, labels = problem(torch.float64)
    monkeypatch.setattr(certification.Search, "advance", lambda self, seconds, clock: "time")
    known = regrob.certify(network, images, labels, seconds=20.0)
    expected = torch.minimum(linear_radius(network, images, labels), known.found)
    assert torch.equal(known.certified, expected)
    assert bool((known.certified[:-1] > 0).all())


def test_what_another_proof_certified_is_kept_and_the_search_goes_on() -> None:
    network, images, labels = problem(torch.float64)
    layers = relu_layers(network, images)
    alone, helped = (certification.Search(layers, images[0].flatten(), int(labels[0])) for _ in range(2))
    alone.advance(nodes=500)
    helped.admit(0.5 * alone.certified)
    assert helped.certified == 0.5 * alone.certified
    helped.admit(0.1 * alone.certified)  # a weaker one takes nothing away
    assert helped.certified == 0.5 * alone.certified
    assert helped.advance(nodes=500) == "closed"
    assert helped.certified <= alone.found * (1 + 1e-9)
    assert helped.found >= alone.certified
    helped.admit(10.0)  # beyond every point of the box: there would be no mistake
    assert helped.certified == helped.found
