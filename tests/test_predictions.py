"""What is predicted of an example, and what attacks find: exact where the network is affine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from regrob import networks
from regrob.affine.local_map import local_map
from regrob.data import datasets
from regrob.ensembles.ensemble import Ensemble
from regrob.errors import DataError, InputError
from regrob.experiments import checkpoint, predictions
from regrob.experiments.grid import Budget, Shard
from regrob.experiments.predictions import Choice
from regrob.networks import mlp
from regrob.theory import taylor_radius
from regrob.theory.penalties import PENALTY_NAMES
from regrob.training.single import train


def labelled(network: nn.Module, images: Tensor) -> Tensor:
    """Labels that make every image correctly classified."""
    with torch.no_grad():
        labels: Tensor = network(images).argmax(dim=1)
    return labels


@pytest.mark.parametrize("classes", [2, 4])
def test_an_affine_network_is_predicted_exactly(classes: int) -> None:
    network = mlp((12, classes), generator=torch.Generator().manual_seed(0))
    images = torch.rand(20, 12, generator=torch.Generator().manual_seed(1))
    labels = labelled(network, images)
    table = predictions.measure(network, images, labels)
    assert len(table) == 20
    assert (table["stays"] == 1).all()
    assert (table["switched"] == 0).all()
    assert (table["edge"] == torch.inf).all()
    assert (table["certified"] == table["margin"]).all()
    assert (table["free"] / table["margin"]).between(1 - 1e-4, 1 + 1e-3).all()
    if classes == 2:
        V, z = local_map(network.double(), images.double())
        assert torch.allclose(torch.tensor(table["radius"]), taylor_radius.radius_l2(V, z, labels), rtol=1e-9)
        # Along r* the boundary is met at d itself.
        assert (table["along"] / table["margin"]).between(1 - 1e-4, 1 + 1e-3).all()
        assert (table["radius"] > table["margin"]).all()


def test_a_trained_network_lies_between_certificate_and_attack() -> None:
    task = datasets.one_versus_seven("embedded")
    network = mlp((784, 30, 20, 2), generator=torch.Generator().manual_seed(0))
    train(network, task, iterations=100)
    images, labels = task.test_images[:30], task.test_labels[:30]
    table = predictions.measure(network, images, labels, iterations=50)
    assert (table["certified"] <= table["found"]).all()
    assert (table["found"] <= table[list(predictions.ATTACKS[:-1])].min(axis=1)).all()
    assert table["switched"].between(0, 1).all()
    assert ((table["switched"] == 0) == (table["stays"] == 1)).all()
    assert (table["radius"] > table["margin"]).all()
    x = images[int(table.loc[0, "image"])][None]
    r = torch.full_like(x, float(table.loc[0, "edge"]) / 28 / 2)  # half the way to the nearest kink
    assert bool((predictions.pattern(network, x) == predictions.pattern(network, x + r)).all())
    assert not bool((predictions.pattern(network, x) == predictions.pattern(network, 1 - x)).all())


def test_the_kept_mistakes_are_as_far_as_the_table_says_and_fool_the_network() -> None:
    task = datasets.one_versus_seven("embedded")
    network = mlp((784, 20, 2), generator=torch.Generator().manual_seed(0))
    train(network, task, iterations=60)
    images, labels = task.test_images[:12], task.test_labels[:12]
    measured = predictions.measure_and_keep(network, images, labels, iterations=30)
    table, mistakes = measured.table, measured.mistakes
    rows = torch.tensor(table["image"].tolist())
    lengths = (mistakes - images[rows]).flatten(1).norm(dim=1).double()
    found = torch.tensor(table["found"].tolist(), dtype=torch.float64)
    assert torch.allclose(lengths, found, rtol=1e-4)
    assert not torch.allclose(lengths, torch.tensor(table["deepfool"].tolist()).double(), rtol=1e-4)
    assert bool((network(mistakes).argmax(dim=1) != labels[rows]).all())
    halfway = images[rows] + 0.5 * (mistakes - images[rows])
    assert not bool((network(halfway).argmax(dim=1) != labels[rows]).any())
    pd.testing.assert_frame_equal(table, predictions.measure(network, images, labels, iterations=30))


def test_a_pool_is_a_kink_too() -> None:
    network = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 2))
    image = torch.tensor([[[[0.1, 0.2], [0.3, 0.4]]]])
    other = torch.tensor([[[[0.1, 0.2], [0.5, 0.4]]]])
    assert predictions.pattern(network, image).tolist() == [[3]]
    assert predictions.pattern(network, other).tolist() == [[2]]


def test_misclassified_images_are_left_out() -> None:
    network = mlp((6, 3), generator=torch.Generator().manual_seed(0))
    images = torch.rand(8, 6)
    labels = labelled(network, images)
    labels[3] = (labels[3] + 1) % 3
    table = predictions.measure(network, images, labels, iterations=20)
    assert 3 not in set(table["image"])
    assert len(table) == 7
    with pytest.raises(InputError, match="no image is classified correctly"):
        predictions.measure(network, images[3:4], labels[3:4])


def test_the_summary_says_how_good_a_prediction_is() -> None:
    names = (*predictions.PREDICTIONS, *predictions.ATTACKS, *predictions.INGREDIENTS)
    table = pd.DataFrame({name: [1.0, 2.0, 3.0, 4.0] for name in (*names, "stays", "switched", "fools")})
    table["radius"] = [1.0, 10.0, 100.0, 1000.0]  # right order, wrong sizes
    table["edge"] = [4.0, 3.0, 2.0, 1.0]
    table.loc[3, "deepfool"] = float("nan")  # an attack that failed
    found = {row[:3]: row[3] for row in predictions.summary(table)}
    assert found["rank", "radius", "found"] == pytest.approx(1)
    assert found["linear", "radius", "found"] < 0.9
    assert found["rank", "edge", "found"] == pytest.approx(-1)
    assert found["exceeds", "radius", "found"] == 0.75
    assert found["exceeds", "radius", "deepfool"] == pytest.approx(2 / 3)
    assert found["exceeds", "margin", "found"] == 0
    assert found["ratio", "edge", "found"] == pytest.approx((1.5 + 2 / 3) / 2)
    assert found["median", "", "found"] == 2.5


def a_shard(folder: Path, penalty: str | None, weight: float, *, tuned: bool, digest: str) -> Path:
    """A finished shard of two untrained LeNets, the second of which diverged."""
    budget = Budget(seeds=2, reference=10, fine_tuning=10 if tuned else 0)
    shard = Shard("mnist-1-7", "lenet-300-100", penalty, weight, 0.1, budget, digest)
    built = [networks.lenet_300_100(2, generator=torch.Generator().manual_seed(s)) for s in range(2)]
    place = folder / shard.name
    checkpoint.save(place, Ensemble(built, torch.zeros(2, len(PENALTY_NAMES))).state(), {"iteration": 10})
    facts = {"spec": dataclasses.asdict(shard), "diverged_at": [-1, 7]}
    checkpoint.write_json(place / "rows.json", facts)
    return place


def test_shards_are_measured_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGROB_DATA", raising=False)
    digest = datasets.one_versus_seven("embedded").digest
    a_shard(tmp_path / "shards", None, 0.0, tuned=False, digest=digest)
    a_shard(tmp_path / "shards", "jacobian", 0.1, tuned=True, digest=digest)
    a_shard(tmp_path / "shards", "jacobian", 0.2, tuned=True, digest=digest)
    unfinished = a_shard(tmp_path / "shards", "curvature", 0.1, tuned=True, digest=digest)
    (unfinished / "rows.json").unlink()
    choice = Choice(weight=0.1, seeds=5, images=12)
    measured = predictions.from_shards([tmp_path / "shards"], choice)
    predictions.write(tmp_path, measured, {"images": 12})
    kept, every, sidecar = predictions.read(tmp_path)
    assert set(kept["penalty"]) == {"reference", "jacobian"}
    assert set(kept["lambda"]) == {0.0, 0.1}
    assert set(kept["seed"]) == {0}
    assert {"image", "radius", "found"} <= set(every.columns)
    assert sidecar["images"] == 12
    assert sidecar["made_by"]["torch"]
    text = "".join(path.read_text() for path in tmp_path.glob("predictions*"))
    assert str(tmp_path) not in text


def test_references_are_fine_tuned_where_the_sweep_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REGROB_DATA", raising=False)
    digest = datasets.one_versus_seven("embedded").digest
    a_shard(tmp_path, None, 0.0, tuned=False, digest=digest)
    a_shard(tmp_path, "input-gradient", 0.4, tuned=True, digest=digest)
    a_shard(tmp_path, "curvature", 0.1, tuned=True, digest=digest)  # another λ
    choice = Choice(weight=0.4, seeds=1, images=10, fine_tuning=20)
    measured = list(predictions.from_shards([tmp_path], choice))
    settings = {(shard.penalty, shard.weight, shard.budget.fine_tuning) for shard, _, _ in measured}
    assert settings == {
        (None, 0.0, 0),
        (None, 0.0, 20),
        ("input-gradient", 0.4, 10),  # the sweep's own
        ("jacobian", 0.4, 20),
        ("curvature", 0.4, 20),
        ("cross-lipschitz", 0.4, 20),
    }
    assert len(measured) == 6
    slopes = {shard.penalty: table["cross-lipschitz"].median() for shard, _, table in measured}
    assert slopes["jacobian"] < slopes["curvature"]


def test_what_cannot_be_measured_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"predictions\.csv .* not found"):
        predictions.read(tmp_path)
    with pytest.raises(DataError, match="no finished shard"):
        predictions.write(tmp_path, iter(()), {})
    a_shard(tmp_path / "shards", None, 0.0, tuned=False, digest="other")
    with pytest.raises(DataError, match="trained on other images"):
        list(predictions.from_shards([tmp_path / "shards"], Choice(seeds=1, images=4)))


def test_steepening_is_the_ratio_of_slopes_at_the_mistake_and_at_the_image() -> None:
    # z₊ − z₋ = x₁ below 0.5 and steeper above; the mistakes lie at x₁ = 0.
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        network[0].bias.copy_(torch.tensor([1.0, 0.5]))
        network[2].weight.copy_(torch.tensor([[1.0, -2.0], [0.0, 0.0]]))
        network[2].bias.copy_(torch.tensor([0.0, 0.0]))
    # Slope 1 for x₁ > 0.5, slope 3 below: 1 + x₁ − 2·max(0, 0.5 − x₁), zero at x₁ = 0.
    images = torch.tensor([[0.8, 0.3], [0.9, 0.4], [0.2, 0.1]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1])  # the last one is misclassified and does not count
    assert predictions.steepening(network, images, labels) == pytest.approx(3.0)
    affine = mlp((12, 2), generator=torch.Generator().manual_seed(0))
    x = torch.rand(5, 12, generator=torch.Generator().manual_seed(1))
    assert predictions.steepening(affine, x, labelled(affine, x)) == pytest.approx(1.0)
