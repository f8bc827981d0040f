"""A training step's cost: the products that are counted are made, and no byte is overlooked."""

from __future__ import annotations

import pytest
import torch

from regrob.analysis.measures import ADVERSARIAL
from regrob.bench import step_cost, steps
from regrob.ensembles import multiplications
from regrob.errors import InputError
from regrob.theory.penalties import PENALTY_NAMES

NET = "lenet-300-100"
MIB = 2**20


def widths(classes: int) -> tuple[int, ...]:
    return (*steps.PERCEPTRON, classes)


def test_adversarial_training_is_counted_by_hand() -> None:
    # PGD-10: ten times there and back, 784·300 + 300·100 + 100·2 numbers each way.
    weights = 235_200 + 30_000 + 200
    expected = 64 * (10 * 2 * weights + 3 * weights - 235_200)
    assert multiplications.count(multiplications.adversarial_step(widths(2), 64, 10)) == expected
    assert multiplications.adversarial_step(widths(2), 64, 0) == multiplications.plain_step(widths(2), 64)


@pytest.mark.parametrize("method", ["none", ADVERSARIAL])
def test_the_counted_products_are_those_of_a_step(method: str) -> None:
    """Every product of the first two layers, as torch's profiler sees them."""
    step = step_cost.our_step(method, NET, 2)
    step()
    with torch.profiler.profile(record_shapes=True) as seen:
        step()
    found = 0
    for event in seen.events():
        if event.name in ("aten::bmm", "aten::baddbmm", "aten::baddbmm_"):
            (times, height, inner), (_, _, width) = event.input_shapes["baddbmm" in event.name :][:2]
            found += times * height * inner * width
    base = multiplications.count(multiplications.plain_step(widths(2), steps.BATCH))
    assert found / base == pytest.approx(step_cost.relative_multiplications(method, widths(2), 64), rel=1e-3)


def test_penalties_are_counted_in_plain_steps() -> None:
    assert step_cost.relative_multiplications("none", widths(2), 64) == 1
    few = [step_cost.relative_multiplications(penalty, widths(2), 64) for penalty in PENALTY_NAMES]
    many = [step_cost.relative_multiplications(penalty, widths(10), 64) for penalty in PENALTY_NAMES]
    hardening = [step_cost.relative_multiplications(ADVERSARIAL, widths(k), 64) for k in (2, 10)]
    assert max(few) < min(many)  # a penalty pays for classes, PGD for its steps
    assert hardening[0] == pytest.approx(hardening[1], rel=0.01)


@pytest.mark.parametrize("call", [step_cost.our_step, step_cost.their_step])
def test_an_unknown_method_is_named(call) -> None:
    with pytest.raises(InputError, match=r"'dropout'.*adversarial-training"):
        call("dropout", NET, 2)
    with pytest.raises(InputError, match="'dropout'"):
        step_cost.relative_multiplications("dropout", widths(2), 64)
    with pytest.raises(InputError, match="'dropout'"):
        step_cost.image_bytes("dropout", widths(2), 64)


@pytest.mark.parametrize("method", ["jacobian", ADVERSARIAL])
def test_both_sides_take_the_step_of_the_same_method(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(steps, "fused_step", lambda *a, **k: calls.append((a, k)))
    monkeypatch.setattr(steps, "lean_step", lambda *a: calls.append(a))
    for build in step_cost.SIDES.values():
        build(method, NET, 10)
    (ours, options), theirs = calls
    if method == ADVERSARIAL:
        assert ours[2] == () and options["adversary"].steps == step_cost.STEPS
        assert theirs[2] is steps.under_attack
    else:
        assert ours[2] == (method,) and not options
        assert theirs[2].__qualname__.startswith("double_backward")


def test_the_peak_is_the_most_at_once() -> None:
    def one_after_the_other() -> None:
        for _ in range(3):
            torch.empty(MIB, dtype=torch.uint8)

    def together() -> None:
        kept = [torch.empty(MIB, dtype=torch.uint8) for _ in range(3)]
        del kept

    def within_an_operation() -> None:
        torch.ones(MIB // 4)[None].expand(2, -1).contiguous().sum()

    assert step_cost.peak_bytes(one_after_the_other) == MIB  # a sum of all that was asked for: 6 MiB
    assert step_cost.peak_bytes(together) == 3 * MIB
    assert 3 * MIB <= step_cost.peak_bytes(within_an_operation) < 3 * MIB + 1000


def test_a_block_that_stays_counts_and_is_not_counted_twice() -> None:
    kept: list[torch.Tensor] = []

    def replaced() -> None:
        kept[:] = [torch.empty(MIB, dtype=torch.uint8)]

    assert MIB <= step_cost.peak_bytes(replaced) <= 2 * MIB  # old and new for a moment


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("method", step_cost.METHODS)
def test_no_step_needs_less_than_its_shapes_say(method: str, classes: int) -> None:
    floor = step_cost.image_bytes(method, widths(classes), 64)
    peak = step_cost.peak_bytes(step_cost.our_step(method, NET, classes))
    assert floor < peak
    if floor:
        assert peak < 3 * floor  # and the floor is most of it


def test_the_floor_is_the_formula() -> None:
    image = 4 * 64 * 784
    found = {m: step_cost.image_bytes(m, widths(2), 64) / image for m in step_cost.METHODS}
    assert found == {
        "none": 0, "input-gradient": 3, "jacobian": 6, "curvature": 3, "cross-lipschitz": 3, ADVERSARIAL: 5,
    }  # fmt: skip
    assert step_cost.image_bytes("jacobian", widths(10), 64) == 0  # by WᵀW
    assert step_cost.image_bytes(ADVERSARIAL, widths(10), 64) == 5 * image


def test_times_have_one_number_a_round() -> None:
    found = step_cost.times(NET, 2, 2)
    assert set(found) == {"ours", "autograd"}
    for side in found.values():
        assert set(side) == set(step_cost.METHODS)
        assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in side.values())


def test_slowdowns_are_medians_over_the_same_sides_plain_step() -> None:
    seconds = {
        "ours": {"none": [1.0, 2.0, 4.0], "jacobian": [3.0, 2.0, 8.0]},
        "autograd": {"none": [2.0, 2.0, 2.0], "jacobian": [2.0, 10.0, 4.0]},
    }
    slower = step_cost.slowdowns(seconds)
    assert slower["ours"] == {"none": 1.0, "jacobian": 2.0}  # of 3, 1, 2; the means' ratio is 13/7
    assert slower["autograd"] == {"none": 1.0, "jacobian": 2.0}


def test_the_dearest_penalty_is_looked_for_in_each_round() -> None:
    taken = {penalty: [1.0, 1.0] for penalty in PENALTY_NAMES}
    taken |= {"jacobian": [4.0, 1.0], "curvature": [1.0, 6.0], "none": [9.0, 9.0], ADVERSARIAL: [8.0, 3.0]}
    assert step_cost.dearest_over_adversarial(taken) == [0.5, 2.0]


def test_memory_is_in_mebibytes_beside_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[str, str, str, int]] = []

    def build(side: str):
        return lambda *arguments: built.append((side, *arguments)) or side

    monkeypatch.setattr(step_cost, "SIDES", {side: build(side) for side in ("ours", "autograd")})
    monkeypatch.setattr(step_cost, "peak_bytes", {"ours": 2**20, "autograd": 2**21}.__getitem__)
    held = step_cost.mebibytes("lenet-300-100", widths(2), 64)
    assert set(held["ours"].values()) == {1.0} and set(held["autograd"].values()) == {2.0}
    floor = step_cost.image_bytes("jacobian", widths(2), 64)
    assert held["shapes"]["jacobian"] == floor / 2**20 > 1 and held["shapes"]["none"] == 0
    sides = ("ours", "autograd")
    assert built == [(side, method, "lenet-300-100", 2) for side in sides for method in step_cost.METHODS]


def test_the_dearest_penalty_is_judged_round_by_round() -> None:
    def side(dearest: tuple[float, float]) -> dict[str, list[float]]:
        taken = {penalty: [0.1, 0.1] for penalty in PENALTY_NAMES}
        return {**taken, PENALTY_NAMES[1]: list(dearest), ADVERSARIAL: [1.0, 2.0], "none": [0.05, 0.05]}

    seconds = {2: {"ours": side((0.5, 1.8)), "autograd": side((1.5, 2.2))}, 10: {"ours": side((0.5, 2.2))}}
    facts = step_cost.dearest_against_adversarial(seconds)
    marks = {name: text for name, text in facts.items() if name.startswith("mark-")}
    assert marks == {"mark-2-ours": "✅", "mark-2-autograd": "❌", "mark-10-ours": "❔"}
    assert facts["over-2-ours"] == "0.50 to 0.90"


def test_stored_rows_are_those_that_time_a_step() -> None:
    facts = {"ours / plain": 2.0, "products, ours / plain": 3.0, "seconds": 4.0}
    timed = {
        "id": "step-a",
        "row": "a / b",
        "median": 1.234,
        "spread": [1.0, 1.5],
        "facts": facts,
        "skipped": None,
    }
    others = [{**timed, "id": "pgd-a"}, {**timed, "skipped": "no peer", "median": None, "spread": None}]
    (row,) = step_cost.stored_rows([timed, *others]).to_numpy().tolist()
    assert row == ["a / b", "1.23 [1.00, 1.50]", "ours / plain: 2.00"]
