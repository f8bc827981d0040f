"""The benchmark: how it compares, judges and reports; and that the stored table is one of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from regrob.bench import harness, run, steps
from regrob.bench.harness import Benchmark, BenchmarkResult, SkippedError, by_turns, quartiles, ratios
from regrob.bench.profile import profile
from regrob.cli import main
from regrob.ensembles import multiplications
from regrob.errors import InputError
from regrob.theory.penalties import PENALTIES, PENALTY_NAMES
from regrob.training import REGULARIZERS, InputGradientPenalty, Regularizer

STORED = Path(__file__).parents[1] / "book" / "results" / "bench.json"


def row(*values: float, sound: bool = True, **target: float) -> Benchmark:
    return Benchmark("some", "a / b", lambda quick: BenchmarkResult(values, sound), **target)


def test_a_row_is_met_only_within_its_target_and_if_sound() -> None:
    assert row(1.0, 1.2, 9.0, at_most=1.2).judge(False)["met"] is True
    assert row(1.0, 1.3, 1.3, at_most=1.2).judge(False)["met"] is False
    assert row(1.0, 1.1, 1.1, at_most=1.2, sound=False).judge(False)["met"] is False
    assert row(60.0, at_least=50.0).judge(False)["met"] is True
    assert row(40.0, at_least=50.0).judge(False)["met"] is False
    stated = row(3.0, 5.0, 4.0).judge(False)
    assert (stated["met"], stated["target"], stated["median"], stated["spread"]) == (
        None,
        "stated",
        4.0,
        [3.0, 5.0],
    )
    assert quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 4.0)


def test_a_row_that_cannot_be_measured_says_why() -> None:
    def absent(quick: bool) -> BenchmarkResult:
        raise SkippedError("the peer is not installed")

    outcome = Benchmark("peer", "a / b", absent, 1.0).judge(True)
    assert (outcome["met"], outcome["median"], outcome["skipped"]) == (
        None,
        None,
        "the peer is not installed",
    )
    assert harness.line(outcome) == "– peer: skipped: the peer is not installed"


def test_contenders_run_by_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []
    seconds = by_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b"] * 3
    assert [len(values) for values in seconds.values()] == [2, 2]
    assert ratios({"a": [4.0, 9.0], "b": [2.0, 3.0]}, "a", "b") == [2.0, 3.0]


def test_the_steps_that_are_timed_do_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours and the double backward end at the same weights, or the comparison means nothing."""
    monkeypatch.setattr(steps, "WEIGHT", 10.0)
    kinds = ("curvature",)
    fused = steps.fused_step("lenet-300-100", 10, kinds)
    double = steps.autograd_step("lenet-300-100", 10, steps.double_backward(kinds))
    plain = steps.autograd_step("lenet-300-100", 10, steps.plain)
    lean = steps.lean_step("lenet-300-100", 10, steps.plain)
    for step in (fused, double, plain, lean):
        step()
    ours = _captured(fused, "ensemble").layers[-1].weight[0].T  # type: ignore[attr-defined]
    theirs, neither, by_hand = (
        list(_captured(s, "model").parameters())[-2].detach()  # type: ignore[attr-defined]
        for s in (double, plain, lean)
    )
    assert float((ours - theirs).abs().max()) < 1e-6 < 1e-5 < float((neither - theirs).abs().max())
    assert float((neither - by_hand).abs().max()) < 1e-7


def assert_same_descent(
    ours: steps.TrainingStep, theirs: steps.TrainingStep, *, other: steps.TrainingStep
) -> None:
    """One step of each leaves ours and theirs with the same weights, and the other with different ones."""
    weights = []
    for step in (ours, theirs, other):
        step()
        parameters = _captured(step, "model").parameters()  # type: ignore[attr-defined]
        weights.append(torch.cat([p.detach().flatten() for p in parameters]))
    near, far = ((w - weights[0]).abs().max() for w in weights[1:])
    assert float(near) < 1e-5
    assert float(far) > 10 * float(near)


@pytest.mark.parametrize("R", REGULARIZERS)
def test_a_loop_s_steps_do_the_same_work(R: type[Regularizer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "WEIGHT", 0.1)
    ours = steps.loop_step(steps.with_regularizer(R(0.1)), width=4)
    theirs = steps.loop_step(steps.with_definition(PENALTIES[R.kind]), width=4)
    plain = steps.loop_step(steps.plain, width=4)
    assert_same_descent(ours, theirs, other=plain)


def test_a_loop_s_own_pass_does_the_work_that_is_written_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "WEIGHT", 0.1)
    ours = steps.loop_step(steps.with_own_pass(InputGradientPenalty(0.1)), width=4)
    theirs = steps.loop_step(steps.with_input_gradient, width=4)
    local = steps.loop_step(steps.with_regularizer(InputGradientPenalty(0.1)), width=4)
    assert_same_descent(ours, theirs, other=local)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("kinds", [("curvature",), ("jacobian",), PENALTY_NAMES])
def test_the_counted_products_are_those_of_a_step(classes: int, kinds: tuple[str, ...]) -> None:
    """Every product above a size, as torch's profiler sees them in a step, against `costs`."""
    rows = classes if "jacobian" in kinds else classes - 1
    counted = multiplications.penalised_step(
        (*steps.PERCEPTRON, classes), steps.BATCH, rows, multiplications.columns(kinds, classes)
    )
    step = steps.fused_step("lenet-300-100", classes, kinds)
    step()
    with torch.profiler.profile(record_shapes=True) as seen:
        step()
    found = []
    for event in seen.events():
        if event.name in ("aten::bmm", "aten::baddbmm", "aten::baddbmm_"):
            (times, height, inner), (_, _, width) = event.input_shapes["baddbmm" in event.name :][:2]
            found.append(times * height * inner * width)
    small = 2_500_000  # the mixing of rows, example by example, is left out
    assert sorted(f for f in found if f > small) == sorted(
        multiplications.count([p]) for p in counted if multiplications.count([p]) > small
    )


def _captured(step: object, name: str) -> object:
    """A variable that a closure holds."""
    code, cells = step.__code__, step.__closure__  # type: ignore[attr-defined]
    return cells[code.co_freevars.index(name)].cell_contents


def test_profile_accounts_for_the_whole_step() -> None:
    shares = profile("lenet-300-100", 3, ["curvature"], batch=4, steps=2)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert min(shares.values()) >= 0.0
    assert "1 Linear: pull" in shares


def test_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    status = main(["bench", "--quick", "--only", "jacobian-mlp-10", "cuda", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert [found["id"] for found in printed] == ["jacobian-mlp-10", "cuda"]
    assert {"row", "median", "spread", "target", "met", "machine", "date"} <= set(printed[0])
    assert status == (1 if any(found["met"] is False for found in printed) else 0)
    assert torch.get_num_threads() == threads
    with pytest.raises(InputError, match="no row is called 'fast'"):
        run.select(["fast"])


def test_the_stored_table_has_every_row() -> None:
    stored = json.loads(STORED.read_text())
    rows = run.rows()
    assert [found["id"] for found in stored] == [r.id for r in rows]
    assert [found["target"] for found in stored] == [r.target for r in rows]
    assert not any(found["quick"] for found in stored)
