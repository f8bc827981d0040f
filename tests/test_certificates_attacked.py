"""No certificate is above what an attack finds: a small run here, and the million pairs that are stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from regrob.experiments import certificates_attacked
from regrob.experiments.stored_measurement import StoredMeasurement

NAMES = {
    *(f"linear bounds, {norm}" for norm in ("l2", "linf")),
    *(f"branch and bound, {norm}" for norm in ("l2", "linf")),
    *(f"cross-Lipschitz by {a} analysis, {norm}" for a in ("interval", "linear") for norm in ("l2", "linf")),
    "polytope, l2",
}


def test_a_small_run_beats_no_certificate_and_longer_ones_are_beaten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates_attacked, "CLIMBS", 1)
    monkeypatch.setattr(certificates_attacked, "ADAPTIVE_CLIMBS", 1)
    monkeypatch.setattr(certificates_attacked, "NODES", 6)
    own, held = certificates_attacked.certificates, []
    monkeypatch.setattr(
        certificates_attacked, "certificates", lambda *given: held.append(own(*given)) or held[0]
    )
    small = certificates_attacked.measure(((3, 6, 5, 3),), 1, images=24, closely=3)
    assert small["pairs"] == 24 * (2 + 5 + 5 + 40) == sum(of["pairs"] for of in small["attacks"].values())
    assert set(small["certificates"]) == NAMES
    for of in small["certificates"].values():
        assert of["beaten"] == 0 and 0 < of["median share"] <= of["largest share"] <= 1 + 1e-9
    longer = {"linear bounds, l2": 1.3, "branch and bound, l2": 1.3, "polytope, l2": 1.0}
    monkeypatch.setattr(
        certificates_attacked,
        "certificates",
        lambda *given: {key: factor * held[0][key] for key, factor in longer.items()},
    )
    beaten = certificates_attacked.measure(((3, 6, 5, 3),), 1, images=24, closely=3)["certificates"]
    assert beaten["linear bounds, l2"]["beaten"] > 0 and beaten["branch and bound, l2"]["beaten"] > 0
    assert beaten["polytope, l2"]["beaten"] == 0


def test_of_a_million_stored_pairs_none_beats_a_certificate() -> None:
    stored = certificates_attacked.STORED.load()
    assert stored["pairs"] > 1_000_000 and set(stored["certificates"]) == NAMES
    assert all(of["beaten"] == 0 for of in stored["certificates"].values())
    assert stored["certificates"]["linear bounds, l2"]["pairs"] == stored["pairs"]
    assert sum(of["mistakes"] for of in stored["attacks"].values()) > 300_000  # the attacks do find some
    assert stored["certificates"]["branch and bound, l2"]["largest share"] > 0.999  # and come near
    assert stored["provenance"]["torch"] and stored["provenance"]["commit"]


def test_a_stored_measurement_is_written_where_it_is_asked_for_and_read_from_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = StoredMeasurement("small.json", lambda: {"pairs": 3})
    monkeypatch.setattr("sys.argv", ["measure", str(tmp_path)])
    small.command()
    with pytest.raises(FileNotFoundError):
        small.load()
    monkeypatch.setattr("regrob.analysis.results.folder", lambda: tmp_path)
    assert small.load() == {"pairs": 3}
    monkeypatch.setattr("sys.argv", ["measure"])
    small._replace(measure=lambda: {"pairs": 4}).command()
    assert small.load() == {"pairs": 4}
