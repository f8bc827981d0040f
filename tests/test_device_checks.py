"""The checks of a device: on a GPU where there is one; and their teeth, anywhere."""

from __future__ import annotations

import json
import math

import pytest
import torch

from regrob.bench import device_checks
from regrob.bench.device_checks import DeviceCheck, Difference
from regrob.ensembles.graphs import exact_float32

CHECKS = device_checks.checks()


def ids(check: DeviceCheck) -> str:
    return check.id.replace(" ", "-")


@pytest.fixture(autouse=True, scope="module")
def _precision() -> None:
    """Nothing in float32 may be rounded to TF32, as in a real run."""
    exact_float32()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: make gpu runs these checks on one")
@pytest.mark.parametrize("check", CHECKS, ids=ids)
def test_a_gpu_computes_what_a_processor_computes(check: DeviceCheck) -> None:
    failing = [d for d in check.compare("cuda", False) if not d.passes]
    assert failing == []


@pytest.mark.parametrize("check", CHECKS, ids=ids)
def test_each_check_has_a_tooth(check: DeviceCheck) -> None:
    """One number on the processor's side is one per cent off: the check must fail."""
    assert not all(difference.passes for difference in check.compare("cpu", True))


@pytest.mark.parametrize("check", [c for c in CHECKS if "lenet-300-100" in c.id], ids=ids)
def test_a_processor_computes_what_it_computes(check: DeviceCheck) -> None:
    """The others run in the rehearsal of `make gpu`."""
    assert [d for d in check.compare("cpu", False) if not d.passes] == []


def test_nan_is_no_agreement() -> None:
    assert not Difference("d", math.nan, 1.0).passes
    assert Difference("d", 1.0, 1.0).passes


def test_names_are_distinct_and_a_failure_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)

    def broken(device: str, wrong: bool) -> list[Difference]:
        raise RuntimeError(f"{device} is on fire")

    def apart(device: str, wrong: bool) -> list[Difference]:
        return [Difference("length", 2.0, 1.0)]

    monkeypatch.setattr(device_checks, "checks", lambda: [DeviceCheck("a", broken), DeviceCheck("b", apart)])
    assert device_checks.main(["--device", "cpu"]) == 1
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert "cpu is on fire" in first["error"]
    assert not first["passed"]
    assert second["differences"] == [{"name": "length", "value": 2.0, "limit": 1.0}]
    assert not second["passed"]
