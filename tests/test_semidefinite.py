"""The semidefinite dual against exact distances, and its proof against exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from exact_distances import nearest_mistake
from local_networks import around, outputs_at, random_layers

from regrob.affine.relu_layers import ReluLayers
from regrob.certificates import semidefinite
from regrob.certificates.local_network import LocalNetwork
from regrob.certificates.semidefinite import Multipliers, inherited, proved, semidefinite_bound


def truth(layers: ReluLayers, image: torch.Tensor, box: tuple[float, float] | None) -> float:
    label = int(layers.logits(image).argmax())
    weights, biases = [w.numpy() for w in layers.weights], [b.numpy() for b in layers.biases]
    return nearest_mistake(weights, biases, image.numpy(), label, box=box).distance


def image_of(size: int, seed: int) -> torch.Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- against the truth -----------------------------------------------------------------


@pytest.mark.parametrize("box", [None, (0.0, 1.0)])
@pytest.mark.parametrize("widths", [(6, 2), (3, 5, 2), (4, 6, 2), (5, 4, 3, 2)])
def test_the_bound_is_never_above_the_true_distance_and_mostly_near(
    widths: tuple[int, ...], box: tuple[float, float] | None
) -> None:
    shares = []
    for seed in (0, 1, 3, 7, 9, 10, 11):
        layers, image = random_layers(*widths, seed=seed), image_of(widths[0], seed)
        distance = truth(layers, image, box)
        if not 1e-3 < distance < math.inf:
            continue
        found = semidefinite_bound(around(layers, image, 1.05 * distance, box=box), tolerance=1e-4)
        assert found.distance <= distance * (1 + 1e-9)
        shares.append(found.distance / distance)
    assert len(shares) >= 3
    assert np.median(shares) > 0.9
    assert max(shares) > 0.9999
    if len(widths) == 2:  # an affine network
        assert min(shares) > 0.999


def test_of_one_unit_the_bound_is_exact() -> None:
    """Only with the margin's products: without, a step with a large margin and one with none are averaged."""
    shares = []
    for seed in range(8):
        layers, image = random_layers(3, 1, 2, seed=seed), image_of(3, seed)
        distance = truth(layers, image, None)
        if not math.isfinite(distance):
            continue
        local = around(layers, image, 1.05 * distance, box=None)
        found = semidefinite_bound(local, tolerance=1e-6)
        assert 0.9999 * distance < found.distance <= distance * (1 + 1e-9)
        shares.append(semidefinite_bound(local, tolerance=1e-6, products=False).distance / distance)
    assert len(shares) >= 3
    assert min(shares) < 0.999  # the tooth


def test_where_the_bound_is_tight_its_minimiser_is_the_nearest_mistake() -> None:
    layers, image = random_layers(4, 6, 2, seed=10), image_of(4, 10)
    distance = truth(layers, image, (0.0, 1.0))
    local = around(layers, image, 1.05 * distance)
    found = semidefinite_bound(local, tolerance=1e-7)
    assert found.distance > 0.999 * distance
    assert np.linalg.norm(found.step) == pytest.approx(distance, rel=1e-2)
    assert found.violation.max() < 1e-2
    np.testing.assert_allclose(found.outputs, outputs_at(local, found.step), atol=0.02)


def test_beyond_the_ball_of_no_mistake_the_bound_says_so() -> None:
    """Where the set holds no mistake, the bound grows beyond its radius."""
    layers, image = random_layers(4, 6, 2, seed=10), image_of(4, 10)
    distance = truth(layers, image, (0.0, 1.0))
    local = around(layers, image, 0.8 * distance)
    assert semidefinite_bound(local, goal=local.radius).distance >= local.radius


def without_first(whole: Multipliers) -> Multipliers:
    """The multipliers of a part in which the first unit is split: its sign is the last constraint."""
    units, constraints = len(whole.outputs), len(whole.constraints)
    return inherited(whole, range(1, units), [*range(constraints), None])


def test_splits_never_lower_the_bound_and_all_of_them_close_it() -> None:
    layers, image = random_layers(4, 4, 3, 2, seed=12), image_of(4, 12)
    distance = truth(layers, image, (0.0, 1.0))
    local = around(layers, image, 1.1 * distance)
    root = semidefinite_bound(local, tolerance=1e-5)
    leaves, nodes = [], [(local, {}, root)]
    while nodes:
        node, splits, parent = nodes.pop()
        if not node.names:
            leaves.append(parent.distance)
            continue
        for active in (True, False):
            more = {**splits, node.names[0]: active}
            part = around(layers, image, local.radius, splits=more)
            child = semidefinite_bound(part, start=without_first(parent.centre), tolerance=1e-4)
            assert child.distance >= min(parent.distance, local.radius) * (1 - 1e-3)
            if child.distance < local.radius:
                nodes.append((part, more, child))
    assert len(leaves) >= 1
    assert distance * 0.999 < min(leaves) <= distance * (1 + 1e-9)


def test_a_warm_start_proves_the_same() -> None:
    layers, image = random_layers(6, 10, 2, seed=11), image_of(6, 11)
    distance = truth(layers, image, (0.0, 1.0))
    local = around(layers, image, 1.02 * distance)
    cold = semidefinite_bound(local)
    warm = semidefinite_bound(local, start=cold.centre)
    assert warm.distance == pytest.approx(cold.distance, rel=2e-3)
    assert warm.steps < cold.steps
    child = around(layers, image, local.radius, splits={local.names[0]: True})
    below = semidefinite_bound(child, start=without_first(cold.centre))
    assert min(below.distance, child.radius) == pytest.approx(
        min(semidefinite_bound(child).distance, child.radius), rel=2e-3
    )


# --- broken networks ---------------------------------------------------------------------


def broken(kind: str) -> ReluLayers:
    layers = random_layers(4, 6, 5, 2, seed=8)
    weights, biases = [w.clone() for w in layers.weights], [b.clone() for b in layers.biases]
    if kind == "dead":
        weights[0][:3] = 0
        biases[0][:3] = -1
    elif kind == "ties":
        biases[0][:] = -weights[0] @ image_of(4, 8)  # every first height is zero at the image
    elif kind == "huge":
        weights[0] *= 1e4
        biases[0] *= 1e4
    elif kind == "tiny":
        weights[0] *= 1e-4
        biases[0] *= 1e-4
        biases[1] *= 1e-4
        biases[2] *= 1e-4
    elif kind == "mixed":
        weights[0] *= torch.logspace(-5, 5, 6, dtype=torch.float64)[:, None]
        biases[0] *= torch.logspace(-5, 5, 6, dtype=torch.float64)
        weights[1] *= torch.logspace(5, -5, 6, dtype=torch.float64)
    elif kind == "duplicates":
        for part in (weights[0], biases[0]):
            part[1], part[2] = part[0], -part[0]
    return ReluLayers(tuple(weights), tuple(biases))


@pytest.mark.parametrize("kind", ["dead", "ties", "huge", "tiny", "mixed", "duplicates"])
def test_broken_networks_get_sound_bounds(kind: str) -> None:
    layers, image = broken(kind), image_of(4, 8)
    distance = truth(layers, image, (0.0, 1.0))
    radius = 1.05 * distance if math.isfinite(distance) else 1.0
    found = semidefinite_bound(around(layers, image, radius))
    if math.isfinite(distance):
        assert found.distance <= distance * (1 + 1e-9)
    assert found.distance > (0.0 if kind == "huge" else 0.4 * min(distance, radius))


def test_a_unit_that_can_hardly_switch_is_no_division_by_zero() -> None:
    layers, image = random_layers(4, 6, 2, seed=8), image_of(4, 8)
    layers.weights[0][0], layers.biases[0][0] = 2.0**-970, 0.0
    distance = truth(layers, image, None)
    local = around(layers, image, 1.05 * distance, box=None)
    place = local.names.index((0, 0))
    local.lower[place], local.upper[place] = -(2.0**-960), 2.0**-960  # their squares underflow
    assert 0.0 <= semidefinite_bound(local).distance <= distance * (1 + 1e-9)


@pytest.mark.parametrize(("lead", "distance"), [(1.0, math.inf), (0.0, 0.0)])
def test_where_nothing_depends_on_the_image_it_is_all_or_nothing(lead: float, distance: float) -> None:
    none = torch.zeros(2, 3, dtype=torch.float64)
    biases = torch.ones(2).double(), torch.tensor([lead, 0.0]).double()
    layers = ReluLayers((none, none[:, :2]), biases)
    assert semidefinite_bound(around(layers, torch.full((3,), 0.5).double(), 1.0)).distance == distance


# --- the proof, and its teeth --------------------------------------------------------------


def exactly_proved(local: LocalNetwork, at: Multipliers, distance: float) -> bool:
    """Whether L − distance² ≥ 0 everywhere, in rational numbers: is the bordered matrix positive definite?"""
    m, n = len(local.names), len(local.low)
    size = 1 + n + m
    form = [[Fraction(0)] * size for _ in range(size)]

    def line(constant: float, step: list[float], outputs: list[float]) -> list[Fraction]:
        return [Fraction(v) for v in (constant, *step, *outputs)]

    def add(weight: Fraction, a: list[Fraction], b: list[Fraction]) -> None:
        for i in range(size):
            for j in range(size):
                form[i][j] += weight * (a[i] * b[j] + b[i] * a[j]) / 2

    def unit(i: int) -> list[Fraction]:
        return [Fraction(int(i == j)) for j in range(size)]

    one = unit(0)
    add(-(Fraction(distance) ** 2), one, one)
    for i in range(n):
        add(Fraction(1), unit(1 + i), unit(1 + i))
        for weight, sign, edge in ((at.low[i], -1, local.low[i]), (at.high[i], 1, local.high[i])):
            if weight > 0:
                side = [sign * (v - Fraction(float(edge)) * u) for v, u in zip(unit(1 + i), one, strict=True)]
                add(Fraction(float(weight)), side, one)
    problem = semidefinite._Problem(local, True)
    for k in range(m):
        h = unit(1 + n + k)
        a = line(float(local.units.offsets[k]), local.units.rows[k].tolist(), local.units.mixing[k].tolist())
        negative = [p - q for p, q in zip(h, a, strict=True)]
        add(Fraction(float(at.complementary[k])), h, negative)
        for weight, part, end in (
            (at.outputs[k], h, problem.upper[k]),
            (at.negatives[k], negative, problem.lengths[k]),
        ):
            rest = [p - Fraction(float(end)) * u for p, u in zip(part, one, strict=True)]
            add(Fraction(float(weight)), part, rest)
        forms = local.constraints
        margin = line(float(forms.offsets[0]), forms.rows[0].tolist(), forms.mixing[0].tolist())
        add(Fraction(float(at.margin_outputs[k])), margin, h)
        add(Fraction(float(at.margin_negatives[k])), margin, negative)
    for k, weight in enumerate(at.constraints):
        forms = local.constraints
        g = line(float(forms.offsets[k]), forms.rows[k].tolist(), forms.mixing[k].tolist())
        add(Fraction(float(weight)), g, one)
    for i in reversed(range(size)):  # eliminate the constant last
        if form[i][i] <= 0:
            return False
        for j in range(i):
            share = form[j][i] / form[i][i]
            for k in range(i):
                form[j][k] -= share * form[i][k]
    return True


def solved(seed: int = 10, *widths: int) -> tuple[LocalNetwork, semidefinite.DualBound, float]:
    layers, image = random_layers(*(widths or (4, 6, 2)), seed=seed), image_of(4, seed)
    distance = truth(layers, image, (0.0, 1.0))
    local = around(layers, image, 1.05 * distance)
    return local, semidefinite_bound(local, tolerance=1e-8), distance


@pytest.mark.parametrize(("seed", "widths"), [(10, (4, 6, 2)), (12, (4, 4, 3, 2))])
def test_rational_arithmetic_confirms_the_proof(seed: int, widths: tuple[int, ...]) -> None:
    local, found, distance = solved(seed, *widths)
    assert found.distance > 0.9 * distance
    assert exactly_proved(local, found.multipliers, found.distance)
    assert not exactly_proved(local, found.multipliers, found.distance * (1 + 1e-6))  # the tooth


def test_an_indefinite_hessian_proves_nothing() -> None:
    local, found, distance = solved()
    at = found.multipliers
    wild = at._replace(
        complementary=8 * at.complementary, negatives=0 * at.negatives, outputs=0.01 * at.outputs
    )
    assert proved(local, wild) == 0
    problem = semidefinite._Problem(local, True)
    hessian = semidefinite._hessian(problem, problem.own, wild)
    assert np.linalg.eigvalsh(hessian)[0] < 0
    assert not exactly_proved(local, wild, 0.1 * distance)


def test_multipliers_of_inequalities_are_never_negative() -> None:
    """With a negative one the Lagrangian's least value is above the true distance; it must count as zero."""
    local, found, distance = solved()
    at = found.multipliers
    caught = 0
    for part in ("outputs", "negatives", "margin_outputs", "margin_negatives", "low", "constraints"):
        for scale in (0.3, 1.0, 3.0):
            wrong = at._replace(**{part: getattr(at, part) - scale * getattr(at, part).max()})
            assert proved(local, wrong) <= distance * (1 + 1e-9)
            point = semidefinite._least(semidefinite._Problem(local, True), wrong)
            caught += point is not None and point.value > distance**2
    assert caught > 0


def test_the_forms_errors_are_subtracted() -> None:
    """A local network that is off, and says so, proves less than its own numbers would."""
    local, found, distance = solved()
    assert found.distance > 0.999 * distance
    shift = 0.01 * abs(local.constraints.offsets[0])
    forms = local.constraints
    off = forms._replace(offsets=forms.offsets + shift)  # the margin looks larger than it is
    silent = proved(local._replace(constraints=off), found.multipliers)
    honest = proved(local._replace(constraints=off._replace(errors=forms.errors + shift)), found.multipliers)
    assert silent > distance
    assert honest <= distance
    units = local.units
    moved = local._replace(units=units._replace(errors=units.errors + 1e-3))
    assert proved(moved, found.multipliers) < found.distance


def test_numbers_beyond_float64_are_no_proof() -> None:
    local, found, _ = solved()
    at = found.multipliers
    assert proved(local, at._replace(constraints=at.constraints * math.inf)) == 0
    assert proved(local, at._replace(complementary=at.complementary * math.nan)) == 0
