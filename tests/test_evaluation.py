"""What the attacks' rows say beside their rates: the share of examples that saturated, member by member."""

from __future__ import annotations

from pathlib import Path

import killable_sweep
import pandas as pd
import pytest
import torch
from torch import nn

from regrob import attacks, networks
from regrob.analysis import tables
from regrob.attacks.evaluation import ROWS, AttackSettings, SingleNetwork, evaluate
from regrob.ensembles.ensemble import Ensemble
from regrob.experiments import checkpoint, grid, sweep

ATTACKS = ("fgsm", "pgd", "deepfool", "carlini-wagner")
SETTINGS = AttackSettings(carlini_wagner={"binary_search_steps": 1, "max_iterations": 5}, at_once=3)


def scaled(scale: float) -> nn.Sequential:
    """Logits ±scale · (x₀ − 1/2): float32 rounds p_y to one beyond a margin of about 17."""
    network = networks.mlp((2, 2))
    layer = network[-1]
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[-scale, 0.0], [scale, 0.0]]))
        layer.bias.copy_(torch.tensor([scale / 2, -scale / 2]))
    return network.eval()


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """Margins of 0, 0.2, 0.4 and 0.6 times the scale, for both classes."""
    away = torch.tensor([0.0, 0.1, 0.2, 0.3]).repeat(2)
    labels = torch.tensor([0] * 4 + [1] * 4)
    first = 0.5 + away * (2 * labels - 1)
    return torch.stack([first, torch.full_like(first, 0.5)], dim=1), labels


SHARES = {1.0: 0.0, 50.0: 0.5, 1000.0: 0.75}
"""Scale → the share of the pictures that saturates: margins of 50 · (0, 0.2, 0.4, 0.6) pass 17 in two."""


@pytest.mark.parametrize("together", [True, False])
def test_each_members_share_stands_beside_its_rates(together: bool) -> None:
    images, labels = pictures()
    members = [scaled(scale) for scale in SHARES]
    if together:
        found = dict(evaluate(Ensemble(members, torch.zeros(3, 4)), images, labels, SETTINGS))
        flags = {name: found[name][-1] for name in ATTACKS}
        assert [row[:2] for name in found for row in found[name]] == list(ROWS)
        assert all(len(row[2]) == 3 for name in found for row in found[name])
    else:
        alone = [dict(evaluate(SingleNetwork(member), images, labels, SETTINGS)) for member in members]
        flags = {name: (*alone[0][name][-1][:2], [one[name][-1][2][0] for one in alone]) for name in ATTACKS}
    for name in ("deepfool", "carlini-wagner"):  # where they begin
        assert flags[name] == (name, "saturated", list(SHARES.values()))
    assert flags["fgsm"] == ("fgsm", "saturated", list(SHARES.values()))
    kind, metric, shares = flags["pgd"]  # wherever it has been
    assert (kind, metric) == ("pgd", "saturated")
    assert shares[0] == 0.0
    assert all(a <= b <= 1 for a, b in zip(SHARES.values(), shares, strict=True))


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("name", ["fgsm", "pgd", "apgd", "deepfool", "carlini_wagner", "boundary_projection"])
def test_every_attack_says_which_examples_saturated(name: str, targeted: bool) -> None:
    images, labels = pictures()
    towards = {"targets": 1 - labels} if targeted else {}
    network = scaled(50.0)
    result = getattr(attacks, name)(network, images, labels, **towards)
    at_start = torch.softmax(network(images), dim=1).gather(1, labels[:, None])[:, 0] == 1
    assert result.saturated_mask.dtype == torch.bool
    assert result.saturated_mask.shape == labels.shape
    assert bool(result.saturated_mask[at_start].all())
    if "pgd" not in name:
        assert torch.equal(result.saturated_mask, at_start)
    assert isinstance(result.saturated, int)
    assert result.saturated == int(result.saturated_mask.sum()) > 0


@pytest.mark.parametrize("attack", ["deepfool", "carlini-wagner"])
def test_images_that_were_wrong_from_the_start_have_no_distance(attack: str) -> None:
    """They would pass for very near mistakes; both distances and rates are those of the others alone."""
    images, labels = pictures()
    images, labels = images[[2, 3, 6, 7]], labels[[2, 3, 6, 7]]  # away from the boundary
    harder = AttackSettings(
        carlini_wagner={"binary_search_steps": 3, "max_iterations": 100, "learning_rate": 0.05}
    )
    skip = frozenset({"none", *ATTACKS} - {attack})

    def rows(x: torch.Tensor, y: torch.Tensor) -> dict[str, float]:
        ((_, found),) = evaluate(SingleNetwork(scaled(1.0)), x, y, harder, skip=skip)
        return {metric: values[0] for _, metric, values in found}

    mixed = rows(images.repeat(2, 1), torch.cat([labels, 1 - labels]))
    alone = rows(images, labels)
    assert mixed["success"] == alone["success"] == 1.0
    assert mixed["distance"] == pytest.approx(alone["distance"], rel=1e-6)
    assert mixed["distance"] > 0.1


# --- results of before ------------------------------------------------------------------


def forget(path: Path) -> None:
    """Take out of a file of rows what was not kept before."""
    rows = checkpoint.read_json(path)
    assert rows is not None
    checkpoint.write_json(path, [row for row in rows if row[1] != "saturated"])


def without_flags(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["metric"] != "saturated"].reset_index(drop=True)


@pytest.fixture
def tiny():
    """The tiny protocol of the sweep's tests."""
    with killable_sweep.shrunk():
        yield


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("figure", ["tiny", "lone"])
def test_shards_that_were_begun_before_the_share_was_kept_still_finish(tmp_path: Path, figure: str) -> None:
    killable_sweep.whole(tmp_path, figure)
    table, sidecar = tables.read(tmp_path, figure)
    assert set(table[table["metric"] == "saturated"]["attack"]) == set(ATTACKS)
    for path in tmp_path.rglob("rows-*.json"):
        forget(path)
    for path in tmp_path.rglob("rows.json"):
        path.unlink()
    killable_sweep.whole(tmp_path, figure)
    again, facts = tables.read(tmp_path, figure)
    pd.testing.assert_frame_equal(again, without_flags(table), check_exact=True)
    assert facts["diverged"] == sidecar["diverged"] == {}


@pytest.mark.usefixtures("tiny")
def test_a_share_that_one_member_lacks_does_not_make_it_a_diverged_one(tmp_path: Path) -> None:
    """One attack on one network of a shard was done before, the rest is done now."""
    killable_sweep.whole(tmp_path, "lone")
    table, _ = tables.read(tmp_path, "lone")
    shard = next(s for s in grid.shards("lone", "quick") if s.penalty == "curvature")
    folder = sweep.folder_of(tmp_path, shard)
    forget(sweep.member_folder(folder, 0) / "rows-pgd.json")
    (folder / "rows.json").unlink()
    killable_sweep.whole(tmp_path, "lone")
    again, _ = tables.read(tmp_path, "lone")
    gone = (table["penalty"] == "curvature") & (table["attack"] == "pgd") & (table["metric"] == "saturated")
    assert gone.sum() == 2
    assert again[again["metric"] == "saturated"]["value"].notna().all()
    pd.testing.assert_frame_equal(again, table[~gone].reset_index(drop=True), check_exact=True)
