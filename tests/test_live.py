"""The live experiment finds what the sweep finds, and says what it was not given."""

from __future__ import annotations

import math

import killable_sweep
import pandas as pd
import pytest
import torch

from regrob import ensemble_training, live, networks, protocol, results, sweep
from regrob.errors import InputError

FAST = {"binary_search_steps": 1, "max_iterations": 20, "learning_rate": 0.05}


@pytest.fixture
def tiny(monkeypatch):
    """The tiny protocol of the sweep's tests."""
    for known in (protocol.TASKS, protocol.FIGURES, protocol.BUDGETS, networks.NETWORKS):
        for key in list(known):
            monkeypatch.setitem(known, key, known[key])
    monkeypatch.setattr(ensemble_training, "CHUNK", ensemble_training.CHUNK)
    monkeypatch.setattr(sweep, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    killable_sweep.shrink()


def run(settings, **changes):
    given = {
        "seeds": 2, "reference": 40, "fine_tuning": 40, "images": 8, "distance_images": 4,
        "carlini_wagner": FAST,
    }  # fmt: skip
    return live.experiment("tiny", "tiny", settings, **{**given, **changes})


@pytest.mark.usefixtures("tiny")
def test_live_equals_the_sweep(tmp_path):
    grid = protocol.FIGURES["tiny"]
    adversaries = grid.adversaries[2:3]  # what the quick preset takes
    settings = [(name, 0.1) for name in grid.penalties]
    settings += [("adversarial-training", epsilon) for epsilon in adversaries]
    sweep.sweep("tiny", tmp_path, progress=False)
    stored, _ = results.read(tmp_path, "tiny")
    found = run(settings)
    assert list(found.columns) == list(results.COLUMNS)
    keys = list(results.COLUMNS[1:-1])
    pd.testing.assert_frame_equal(
        found[[*keys, "value"]].sort_values(keys, ignore_index=True),
        stored[[*keys, "value"]].sort_values(keys, ignore_index=True),
        rtol=1e-6,
    )


@pytest.mark.usefixtures("tiny")
def test_references_are_left_alone_and_copies_differ():
    start = live.references("tiny", "tiny", seeds=2, iterations=20)
    before = [parameter.clone() for network in start.references for parameter in network.parameters()]
    tuned = live.fine_tuned(start, [("none", 0.0), ("jacobian", 0.1), ("jacobian", 1.0)], iterations=20)
    after = [parameter for network in start.references for parameter in network.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert [group.settings for group in tuned.tuned] == [
        (("none", 0.0),),
        (("jacobian", 0.1), ("jacobian", 1.0)),
    ]
    table = live.attacked(tuned, images=8, attacks=())
    slopes = table[table["metric"] == "jacobian"].groupby(["penalty", "lambda"])["value"].mean()
    assert slopes["jacobian", 1.0] < slopes["jacobian", 0.1] < slopes["none", 0.0]


@pytest.mark.usefixtures("tiny")
def test_a_diverged_member_is_nan_and_its_neighbours_are_not():
    table = run([("jacobian", 0.1), ("jacobian", 1e9)], attacks=("fgsm",))
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
        live.references("tiny", "resnet", seeds=1, iterations=1)
    with pytest.raises(InputError, match="at least one seed"):
        run([("curvature", 0.1)], seeds=0)
    start = live.references("tiny", "tiny", seeds=1, iterations=1)
    with pytest.raises(InputError, match="setting"):
        live.fine_tuned(start, [], iterations=1)
