"""What must hold for every local map: invariances, scalings, inequalities, and mpmath's digits.

Entries are dyadic fractions, so that shifts and scalings by powers of two are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import mpmath
import oracles
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles import Exact
from torch import Tensor

from regrob.theory import PENALTIES, derivatives, margin_l2, probability, taylor_radius

ROUNDING = 1e-12


@dataclass(frozen=True)
class Map:
    V: Tensor
    z: Tensor
    y: Tensor

    @property
    def all(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.V, self.z, self.y


@st.composite
def maps(draw: st.DrawFn, classes: tuple[int, int] = (2, 6), correct: bool = False) -> Map:
    """A local map with n ≤ 4 inputs; all gradients differ from one another somewhere."""
    n, K = draw(st.integers(1, 4)), draw(st.integers(*classes))
    entries = draw(st.lists(st.integers(-64, 64), min_size=n * K, max_size=n * K))
    V = torch.tensor(entries, dtype=torch.float64).reshape(n, K) / 16
    logits = draw(st.lists(st.integers(-2000, 2000), min_size=K, max_size=K))
    z = torch.tensor(logits, dtype=torch.float64) / 64
    y = z.argmax() if correct else torch.tensor(draw(st.integers(0, K - 1)))
    assume(not correct or bool(probability.correctly_classified(z, y)))
    assume(bool((V[:, :1] != V).any()))
    return Map(V, z, y)


def everything(one: Map) -> dict[str, Tensor]:
    """All that is computed from one map, by name; binary forms and radii where they apply."""
    V, z, y = one.all
    found = {
        "m": probability.logit_margin(z, y),
        "p": probability.label_probability(z, y),
        "q": probability.rival_probability(z, y),
        "loss": probability.loss(z, y),
        "gradient": derivatives.input_gradient(V, z, y),
        "hessian": derivatives.hessian(V, z),
        "curvature": derivatives.curvature(V, z),
        "mu": derivatives.lipschitz(V),
        "cross": derivatives.cross_lipschitz_squared(V),
    }
    if bool(probability.correctly_classified(z, y)):
        found["margin"] = margin_l2(V, z, y)
    if V.shape[-1] == 2:
        found["nu"] = derivatives.cross_lipschitz(V)
        found["eta"] = taylor_radius.worst_case_loss(V, z, y, 0.25)
        if bool(taylor_radius.has_taylor_radius(V, z, y)):
            found["l2"] = taylor_radius.radius_l2(V, z, y)
            found["linf"] = taylor_radius.radius_linf(V, z, y)
    return found


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], but: tuple[str, ...] = ()) -> None:
    assert set(found) == set(expected)
    for name in set(expected) - set(but):
        size = float(expected[name].abs().max()) if math.isfinite(float(expected[name].abs().max())) else 0.0
        torch.testing.assert_close(
            found[name],
            expected[name],
            rtol=ROUNDING,
            atol=ROUNDING * size,
            msg=lambda text, n=name: f"{n}: {text}",
        )


# --- invariances ----------------------------------------------------------------------------


@given(maps(), st.integers(-1000, 1000))
def test_a_constant_added_to_all_logits_changes_nothing(one: Map, shift: int) -> None:
    assert_same(everything(Map(one.V, one.z + shift, one.y)), everything(one))


@given(maps(), st.integers(-64, 64))
def test_a_vector_added_to_all_gradients_changes_mu_alone(one: Map, shift: int) -> None:
    moved = everything(Map(one.V + shift / 16, one.z, one.y))
    assert_same(moved, everything(one), but=("mu",))


@given(maps(), st.randoms(use_true_random=False))
def test_the_order_of_the_classes_does_not_matter(one: Map, random: object) -> None:
    order = list(range(one.V.shape[-1]))
    random.shuffle(order)  # type: ignore[attr-defined]
    where = torch.tensor(order.index(int(one.y)))
    assert_same(everything(Map(one.V[:, order], one.z[order], where)), everything(one))


@given(maps(), st.integers(0, 1000))
def test_a_rotation_of_the_input_rotates_and_preserves_euclidean_lengths(one: Map, seed: int) -> None:
    n = one.V.shape[0]
    generator = torch.Generator().manual_seed(seed)
    Q = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q
    expected = everything(one)
    expected["gradient"] = Q @ expected["gradient"]
    expected["hessian"] = Q @ expected["hessian"] @ Q.T
    assert_same(everything(Map(Q @ one.V, one.z, one.y)), expected, but=("linf", "eta"))


@given(maps(), st.integers(-20, 20))
def test_scaling_the_input_scales_by_the_right_powers(one: Map, power: int) -> None:
    """x in other units: V grows by a, lengths shrink by a, second derivatives grow by a²."""
    a = 2.0**power
    expected = everything(one)
    powers = {
        "gradient": 1,
        "hessian": 2,
        "curvature": 2,
        "mu": 1,
        "cross": 2,
        "nu": 1,
        "margin": -1,
        "l2": -1,
        "linf": -1,
    }
    expected = {name: value * a ** powers.get(name, 0) for name, value in expected.items()}
    assert_same(everything(Map(a * one.V, one.z, one.y)), expected, but=("eta",))


@given(maps())
def test_a_class_split_in_two_halves_leaves_the_loss_as_it_was(one: Map) -> None:
    """Give half of a rival's probability to a copy of it: ∇, H, q, loss and margin stay."""
    rival = (int(one.y) + 1) % len(one.z)
    z = torch.cat([one.z, one.z[rival : rival + 1]])
    z[rival] -= math.log(2)
    z[-1] -= math.log(2)
    split = Map(torch.cat([one.V, one.V[:, rival : rival + 1]], dim=1), z, one.y)
    before, after = everything(one), everything(split)
    for name in ("m", "q", "loss", "gradient", "hessian", "curvature"):
        size = float(before[name].abs().max())
        loose = 1e-11 * size + (1e-13 if name == "m" else 0.0)  # m may be zero
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=loose)


@given(st.lists(maps(classes=(3, 3)), min_size=2, max_size=4))
def test_a_batch_is_its_examples_side_by_side(examples: list[Map]) -> None:
    n = min(e.V.shape[0] for e in examples)
    V, z = torch.stack([e.V[:n] for e in examples]), torch.stack([e.z for e in examples])
    y = torch.stack([e.y for e in examples])
    for penalty in PENALTIES.values():
        alone = torch.stack([penalty(V[i], z[i], y[i]) for i in range(len(examples))])
        torch.testing.assert_close(penalty(V, z, y), alone, rtol=ROUNDING, atol=1e-300)


# --- inequalities -----------------------------------------------------------------------------


def at_most(small: Tensor, large: Tensor) -> None:
    assert float(small) <= float(large) * (1 + ROUNDING) + 1e-300


@given(maps())
def test_inequalities_for_any_label(one: Map) -> None:
    K = one.V.shape[-1]
    found = everything(one)
    squared = found["gradient"].square().sum()
    at_most(found["p"] / found["q"] * squared, found["curvature"])  # H ⪰ (p/q) ∇∇ᵀ
    at_most(found["curvature"], found["hessian"].trace())
    centred = K / 2 * found["cross"]  # ‖VC‖_F²
    at_most(found["curvature"], centred / 2)
    at_most(centred, found["mu"].square())
    at_most(squared, 2 * centred)
    at_most(torch.zeros(()), torch.linalg.eigvalsh(found["hessian"])[0] + ROUNDING * found["curvature"])
    assert abs(float(found["p"] + found["q"]) - 1) < 1e-15
    assert abs(float(torch.exp(-found["loss"]) - found["p"])) < 1e-15


@given(maps(correct=True))
def test_inequalities_where_the_label_is_predicted(one: Map) -> None:
    K = one.V.shape[-1]
    found = everything(one)
    at_most(found["gradient"].square().sum() / (K - 1), found["curvature"])
    distances = (one.V - derivatives.column(one.V, one.y)).norm(dim=0)
    at_most(found["m"] / distances.max(), found["margin"])  # the margin m pools the rivals


@given(maps(classes=(2, 2), correct=True))
def test_the_binary_chain(one: Map) -> None:
    found = everything(one)
    nu2 = found["nu"].square()
    at_most(found["gradient"].square().sum(), found["curvature"])
    at_most(found["curvature"], nu2 / 4)
    at_most(nu2 / 2, found["mu"].square())


@given(maps(classes=(2, 2), correct=True))
def test_the_radii_bracket_one_another(one: Map) -> None:
    V, z, y = one.all
    found = everything(one)
    n = V.shape[0]
    at_most(found["margin"], found["l2"])
    at_most(found["linf"], found["l2"])
    at_most(found["l2"], math.sqrt(n) * found["linf"])
    # Propositions 3.2 and 3.3 meet: a budget of exactly the radius brings the model to log 2.
    reached = taylor_radius.worst_case_loss(V, z, y, float(found["linf"]))
    assert abs(float(reached) / math.log(2) - 1) < 1e-11
    at_most(found["loss"], found["eta"])
    half = taylor_radius.worst_case_loss(V, z, y, 0.5 * float(found["linf"]))
    assert float(half) < math.log(2)


@given(maps(classes=(2, 2)))
def test_the_papers_binary_forms_are_the_general_ones(one: Map) -> None:
    found = everything(one)
    s = one.V[:, 0] - one.V[:, 1]
    sign = 1.0 if int(one.y) == 0 else -1.0
    torch.testing.assert_close(found["gradient"], -sign * found["q"] * s, rtol=ROUNDING, atol=1e-300)
    pq = found["p"] * found["q"]
    torch.testing.assert_close(
        found["hessian"], pq * torch.outer(s, s), rtol=ROUNDING, atol=ROUNDING * float(pq)
    )
    torch.testing.assert_close(found["curvature"], pq * found["nu"].square(), rtol=ROUNDING, atol=1e-300)
    torch.testing.assert_close(found["cross"], found["nu"].square() / 2, rtol=ROUNDING, atol=0)


@given(st.floats(1e-8, 700), st.floats(1e-8, 700))
def test_the_taylor_margin_exceeds_grows_and_bends_upwards(a: float, b: float) -> None:
    low, high = sorted((a, b))
    middle = (low + high) / 2
    tau = taylor_radius.taylor_margin(torch.tensor([low, middle, high], dtype=torch.float64)).tolist()
    assert tau[0] >= low * (1 - ROUNDING)
    assert tau[0] <= tau[1] * (1 + ROUNDING)
    assert tau[1] <= tau[2] * (1 + ROUNDING)
    assert tau[1] <= (tau[0] + tau[2]) / 2 * (1 + ROUNDING)
    assert tau[0] / low <= tau[2] / high * (1 + ROUNDING)


# --- digits -------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(maps(correct=True), st.integers(-300, 300))
def test_twelve_digits_wherever_the_logits_are(one: Map, stretch: int) -> None:
    """Against 700 digits of mpmath, with margins stretched over many orders of magnitude."""
    z = one.z * 2.0 ** (stretch / 50 if stretch > 0 else stretch / 10)
    assume(float(z.max() - z.min()) < 700)
    y = z.argmax()
    truth = Exact(one.V, z, int(y))
    noise = 1e-12 * max(1.0, 1e-3 / max(float(truth.m), 1e-30)) if len(z) > 2 else 1e-12
    assert abs(float(probability.logit_margin(z, y)) - truth.m) <= noise * abs(truth.m) + 1e-15
    assert oracles.relative_error(probability.rival_probability(z, y), truth.q) < 1e-12
    size = mpmath.sqrt(sum(g * g for g in truth.gradient()))
    gradient = derivatives.input_gradient(one.V, z, y)
    largest = float(truth.q) * float((one.V - one.V[:, y : y + 1]).abs().max())
    assert all(
        abs(float(found) - g) <= 1e-12 * max(size, largest)
        for found, g in zip(gradient, truth.gradient(), strict=True)
    )
    if len(z) == 2 and float(truth.m) > 1e-8:
        nu = mpmath.sqrt(sum(a * a for a in truth.difference()))
        assert oracles.relative_error(taylor_radius.radius_l2(one.V, z, y), truth.taylor_radius(nu)) < 1e-12
