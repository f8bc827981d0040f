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
from regrob.certificates import linear_radius, quadratic_radius
from regrob.errors import InputError, UnsuitableNetworkError
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
        ({"norm": 3.0}, InputError, "norm"),
        ({"box": (0.4, 0.6)}, InputError, "box"),
    ],
)
def test_what_makes_no_sense_is_refused(change, error, words) -> None:
    network, images, labels = problem()
    with pytest.raises(error, match=words):
        regrob.certify(network, images, labels, **change)


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
    assert set(known.reasons[:-1]) <= {"bounds", "closed"}
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
    ).double()
    for weight in network.parameters():
        nn.init.normal_(weight, generator=generator)
    images = torch.rand(2, 1, 6, 6, generator=generator).double()
    with torch.no_grad():
        labels = network(images).argmax(dim=1)
    bounds = [f(network, images, labels) for f in (linear_radius, quadratic_radius)]
    known = regrob.certify(network, images, labels)
    assert torch.equal(known.certified, torch.maximum(*bounds).minimum(known.found))
    monkeypatch.setattr(certification, "MANY_ENTRIES", 10)
    known = regrob.certify(network, images, labels)
    assert torch.equal(known.certified, bounds[1].minimum(known.found))
    assert not torch.equal(*bounds)
    known = regrob.certify(network, images, labels, norm=math.inf)
    assert bool((known.certified > 0).all())


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
