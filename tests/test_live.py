"""The live experiment finds what the sweep finds, and says what it was not given."""

from __future__ import annotations

import math
from dataclasses import replace

import killable_sweep
import pandas as pd
import pytest
import torch

from regrob.affine import local_map
from regrob.analysis import measures, tables
from regrob.errors import InputError
from regrob.experiments import grid, in_memory, sweep
from regrob.theory import lipschitz_squared

FAST = {"binary_search_steps": 1, "max_iterations": 20, "learning_rate": 0.05}


@pytest.fixture
def tiny():
    """The tiny protocol of the sweep's tests."""
    with killable_sweep.shrunk():
        budgets = grid.PRESETS["quick"].budgets
        budgets["tiny", "lone"] = replace(
            budgets["tiny", "lone"], policy="caffe", batch=64, searched_images=0
        )
        yield


def run(settings, network="tiny", *, seeds=2, fine_tuning=40, **attacks):
    """References, fine-tuning with and without a penalty, attacks: a figure's table."""
    start = in_memory.references("tiny", network, seeds=seeds, iterations=40)
    tuned = in_memory.fine_tuned(start, [("none", 0.0), *settings], iterations=fine_tuning)
    given = {"images": 8, "distance_images": 4, "carlini_wagner": FAST}
    return in_memory.attacked(tuned, **{**given, **attacks})


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(("network", "fine_tuning"), [("tiny", 40), ("lone", 30)])
def test_live_equals_the_sweep(tmp_path, network, fine_tuning):
    figure = grid.FIGURES[network]
    adversaries = figure.adversaries[2:3]  # what the quick preset takes
    settings = [(name, 0.1) for name in figure.penalties]
    settings += [("adversarial-training", epsilon) for epsilon in adversaries]
    sweep.sweep(network, tmp_path, progress=False)
    stored, _ = tables.read(tmp_path, network)
    found = run(settings, network, fine_tuning=fine_tuning)
    assert found["value"].nunique() > len(settings)
    assert list(found.columns) == list(tables.COLUMNS)
    keys = list(tables.COLUMNS[1:-1])
    pd.testing.assert_frame_equal(
        found[[*keys, "value"]].sort_values(keys, ignore_index=True),
        stored[[*keys, "value"]].sort_values(keys, ignore_index=True),
        rtol=1e-6,
    )


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("network", ["tiny", "lone"])
def test_references_are_left_alone_and_copies_differ(network):
    start = in_memory.references("tiny", network, seeds=2, iterations=20)
    before = [value.clone() for one in start.references for value in one.state_dict().values()]
    settings = (("none", 0.0), ("jacobian", 0.1), ("jacobian", 1.0))
    tuned = in_memory.fine_tuned(start, settings, iterations=20)
    after = [value for one in start.references for value in one.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    groups = [(group.settings, group.seeds, group.ensemble.members) for group in tuned.tuned]
    stacked = [(settings[:1], (0, 1), 2), (settings[1:], (0, 1), 4)]
    alone = [((setting,), (seed,), 1) for setting in settings for seed in (0, 1)]
    assert groups == {"tiny": stacked, "lone": alone}[network]
    table = in_memory.attacked(tuned, images=8, attacks=())
    slopes = table[table["metric"] == "jacobian"].groupby(["penalty", "lambda"])["value"].mean()
    assert slopes["jacobian", 1.0] < slopes["jacobian", 0.1] < slopes["none", 0.0]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("network", ["tiny", "lone"])
def test_members_are_the_networks_that_were_attacked(network):
    start = in_memory.references("tiny", network, seeds=2, iterations=40)
    settings = [("none", 0.0), ("jacobian", 0.1), ("jacobian", 1e9)]
    tuned = in_memory.fine_tuned(start, settings, iterations=40)
    members = list(tuned.members())
    assert [(m.setting, m.seed) for m in members] == [(s, seed) for s in settings for seed in (0, 1)]
    assert [m.diverged_at >= 0 for m in members] == [False] * 4 + [True] * 2
    table = in_memory.attacked(tuned, images=8, attacks=())
    images, _ = tuned.task.held_out(8)
    for m in members[:4]:
        V, _ = local_map(m.network, images)
        (slope,) = measures.values(table[table["seed"] == m.seed], network, *m.setting, "none", "jacobian")
        assert float(lipschitz_squared(V).mean()) == pytest.approx(slope, rel=1e-5)
    slopes = table[(table["metric"] == "jacobian") & (table["penalty"] != "reference")]["value"].dropna()
    assert slopes.nunique() == 4  # no two members share a number, so each must be its own network


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("network", ["tiny", "lone"])
def test_a_diverged_member_is_nan_and_its_neighbours_are_not(network):
    table = run([("jacobian", 0.1), ("jacobian", 1e9)], network, attacks=("fgsm",))
    jacobian = table[table["penalty"] == "jacobian"]
    assert jacobian[jacobian["lambda"] == 1e9]["value"].isna().all()
    assert not jacobian[jacobian["lambda"] == 0.1]["value"].isna().any()


@pytest.mark.usefixtures("tiny")
def test_only_the_attacks_asked_for():
    table = run([("curvature", 0.1)], attacks=("pgd",))
    assert set(table["attack"]) == {"none", "pgd"}
    assert set(table["penalty"]) == {"reference", "none", "curvature"}


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    "settings", [[("l2", 1.0)], [("none", 1.0)], [("curvature", 0.0)], [("jacobian", math.inf)]]
)
def test_settings_without_a_meaning_are_refused(settings):
    with pytest.raises(InputError):
        run(settings)


@pytest.mark.usefixtures("tiny")
def test_other_mistakes_are_named():
    with pytest.raises(InputError, match="no attack is called 'cw'"):
        run([("curvature", 0.1)], attacks=("cw",))
    with pytest.raises(InputError, match="no network is called"):
        in_memory.references("tiny", "resnet", seeds=1, iterations=1)
    with pytest.raises(InputError, match="at least one seed"):
        run([("curvature", 0.1)], seeds=0)
    start = in_memory.references("tiny", "tiny", seeds=1, iterations=1)
    with pytest.raises(InputError, match="setting"):
        in_memory.fine_tuned(start, [], iterations=1)
