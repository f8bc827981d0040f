"""Enclosed checks: intervals that hold what they must, an oracle like autograd, honest verdicts."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import pytest
import sympy as sp
import torch
from torch import Tensor, nn

from regrob.affine.local_map import local_map
from regrob.claims import enclosed, enclosure, forward_mode, ledger, rational_networks
from regrob.claims.check import Check
from regrob.claims.claim import Claim, Evidence, Verdict, judge
from regrob.claims.enclosed import CHECKS
from regrob.claims.enclosed.linf_two_classes import eta, one_norm, radius_linf
from regrob.claims.enclosed.proposition_3_1 import radius
from regrob.claims.enclosure import EnclosedCheck, Sides, interval
from regrob.claims.forward_mode import Jet
from regrob.claims.oracle import Derivatives, autograd_derivatives
from regrob.claims.rational_networks import AffineLayer, NetworkAtPoint
from regrob.errors import HypothesisError, InputError, ProofError
from regrob.theory import derivatives, taylor_radius

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)

# --- the intervals ----------------------------------------------------------------------------


def holds(x: Any, value: mpmath.mpf) -> bool:
    """Whether an interval, of some 80 digits, holds a number of 200."""
    context = mpmath.MPContext()
    context.dps = 200
    low, high = (context.make_mpf(end) for end in x._mpi_)
    return bool(low <= value <= high)


def exactly(function: str, *numbers: Fraction) -> mpmath.mpf:
    context = mpmath.MPContext()
    context.dps = 200
    return getattr(context, function)(*(context.mpf(x.numerator) / x.denominator for x in numbers))


@pytest.mark.parametrize(
    "x", [THIRD, Fraction(7), Fraction(1, 10**40), Fraction(10**30 + 1, 10**30), Fraction(700)]
)
def test_functions_of_an_interval_hold_the_value_and_little_more(x: Fraction) -> None:
    for value, truth in (
        (enclosure.exp(x), exactly("exp", x)),
        (enclosure.log(x), exactly("log", x)),
        (enclosure.sqrt(x), exactly("sqrt", x)),
        (enclosure.power(interval(x), Fraction(3, 2)), exactly("power", x, Fraction(3, 2))),
        (interval(x), exactly("mpf", x)),
    ):
        assert holds(value, truth)
        assert not holds(value, truth * exactly("mpf", 1 + Fraction(1, 10**45)))
        assert enclosure.lower(value) <= float(truth) <= enclosure.upper(value)


def test_an_interval_of_numbers_holds_the_functions_of_all_of_them() -> None:
    x = interval(THIRD, HALF)
    for number in (THIRD, Fraction(2, 5), HALF):
        assert holds(enclosure.exp(x), exactly("exp", number))
        assert holds(enclosure.sqrt(x), exactly("sqrt", number))
    assert not holds(enclosure.exp(x), exactly("exp", Fraction(51, 100)))


def test_ends_are_rounded_outwards() -> None:
    third = interval(THIRD)
    assert math.nextafter(1 / 3, 0) <= enclosure.lower(third) <= 1 / 3  # float64 rounds a third down
    assert enclosure.upper(third) == math.nextafter(1 / 3, 1)
    assert (enclosure.lower(interval(2)), enclosure.upper(interval(2))) == (2.0, 2.0)
    assert math.copysign(1, enclosure.upper(interval(0))) == 1


@pytest.mark.parametrize(
    ("attempt", "error", "message"),
    [
        (lambda: interval(0.5), InputError, "got the float 0.5"),
        (lambda: interval(0, 0.5), InputError, "got the float 0.5"),
        (lambda: interval(1, HALF), InputError, "got 1 and 1/2"),
        (lambda: enclosure.log(interval(0, 1)), ProofError, "no logarithm"),
        (lambda: enclosure.log(interval(-1)), ProofError, "no logarithm"),
        (lambda: enclosure.sqrt(interval(-1, 1)), ProofError, "no square root"),
        (lambda: rational_networks.sign(interval(-1, 1)), HypothesisError, "reaches 0"),
    ],
)
def test_what_has_no_enclosure_is_refused(
    attempt: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        attempt()


# --- forward mode -----------------------------------------------------------------------------


def composition(x: Any, y: Any, functions: Any) -> Any:
    """Every rule once, of jets or of SymPy's symbols."""
    return functions.log(1 + functions.exp(x * y - 2)) / functions.sqrt(3 - x + y * y) - x * (1 - y) / 7


def test_jets_differentiate_as_sympy_does() -> None:
    at = (THIRD, Fraction(-5, 4))
    jet = composition(*map(forward_mode.enclose, forward_mode.variables(at)), forward_mode)
    x, y = sp.symbols("x y")
    formula = composition(x, y, sp)
    exact = {x: sp.Rational(1, 3), y: sp.Rational(-5, 4)}

    def truth(*by: sp.Symbol) -> mpmath.mpf:
        derivative = sp.diff(formula, *by) if by else formula
        return mpmath.mpf(str(derivative.subs(exact).evalf(100)))

    with mpmath.workdps(100):
        assert holds(jet.value, truth())
        for a, by in enumerate((x, y)):
            assert holds(jet.gradient[a], truth(by))
            assert not holds(jet.gradient[a], truth(by) * (1 + mpmath.mpf(10) ** -60))
            for b, then in enumerate((x, y)):
                assert holds(jet.hessian[a][b], truth(by, then))


def test_a_kink_has_no_derivative() -> None:
    (zero,) = forward_mode.variables([Fraction(0)])
    with pytest.raises(HypothesisError, match="off the kinks"):
        forward_mode.relu(zero)
    at_a_kink = NetworkAtPoint((AffineLayer(((Fraction(1),),), (Fraction(-1),)),) * 2, (Fraction(1),), 0)
    with pytest.raises(HypothesisError, match="off the kinks"):
        _ = at_a_kink.z


# --- the networks, against torch ------------------------------------------------------------


def as_torch(point: NetworkAtPoint) -> nn.Sequential:
    layers: list[nn.Module] = []
    for weight, bias in point.layers:
        linear = nn.Linear(len(weight[0]), len(weight)).double()
        with torch.no_grad():
            linear.weight.copy_(doubles(weight))
            linear.bias.copy_(doubles(bias))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def floats(numbers: Any) -> Any:
    """Nested fractions or intervals as nested floats, an interval by its lower end."""
    if isinstance(numbers, (tuple, list)):
        return [floats(number) for number in numbers]
    return enclosure.lower(interval(numbers))


def doubles(numbers: Any) -> Tensor:
    return torch.tensor(floats(numbers), dtype=torch.float64)


POINTS = (*rational_networks.all_points(), *rational_networks.points(3))


@pytest.fixture(params=range(len(POINTS)))
def point(request: pytest.FixtureRequest) -> NetworkAtPoint:
    return POINTS[request.param]


def by_autograd(point: NetworkAtPoint) -> tuple[Derivatives, nn.Sequential, Tensor]:
    network, x = as_torch(point), doubles(point.x)[None]
    return autograd_derivatives(network, x, torch.tensor([point.y])), network, x


def test_forward_mode_agrees_with_autograd(point: NetworkAtPoint) -> None:
    truth, network, x = by_autograd(point)
    size = doubles(point.jacobian).abs().max()
    for ours, theirs, scale in (
        (point.jacobian, truth.jacobian[0].T, size),
        (point.gradient, truth.gradient[0], size),
        (point.hessian, truth.hessian[0], size**2),
        ([point.loss.value], truth.loss, 1.0),
    ):
        error = float((doubles(ours) - theirs).abs().max() / scale)
        assert error < 1e-13
        off = float((1.001 * doubles(ours) - theirs).abs().max() / scale)
        seen = float(theirs.abs().max() / scale)
        assert off > 9e-4 * seen - 1e-13, "one per mille more is seen, where it is more than rounding"
    V, z = local_map(network, x)
    torch.testing.assert_close(doubles(point.V), V[0].T)
    torch.testing.assert_close(doubles(point.z), z[0], atol=1e-12, rtol=1e-12)


def test_closed_forms_in_float64_lie_in_their_enclosures() -> None:
    for point in rational_networks.points():
        V, z, y = doubles(point.V).T[None], doubles(point.z)[None], torch.tensor([point.y])
        for ours, theirs in (
            (radius(point), taylor_radius.radius_l2(V, z, y)),
            (radius_linf(point), taylor_radius.radius_linf(V, z, y)),
            (eta(point, one_norm(point.s) / 2), taylor_radius.worst_case_loss(V, z, y, 0.5)),
            (point.nu, derivatives.cross_lipschitz(V)),
        ):
            error = 1e-12 * abs(float(theirs))
            assert enclosure.lower(ours) - error <= float(theirs) <= enclosure.upper(ours) + error
            assert not enclosure.lower(ours) <= 1.001 * float(theirs) <= enclosure.upper(ours)


def test_the_networks_are_what_they_are_planned_to_be() -> None:
    points = rational_networks.points()
    assert [abs(p.m) for p in points] == [plan.margin for plan in rational_networks.PLANS]
    assert all(p.is_correct and not p.mislabelled.is_correct for p in points)
    assert {p.y for p in points} == {0, 1}
    assert len(rational_networks.bias_free()) == len(rational_networks.with_biases()) == len(points) / 2
    for p, plan in zip(points, rational_networks.PLANS, strict=True):
        assert tuple(len(layer.weight[0]) for layer in p.layers) == plan.sizes
        assert any(True in mask for mask in p.pattern)
        assert all(p.s)
        assert (p.V[0] == tuple(-v for v in p.V[1])) == plan.opposite
    assert any(False in mask for p in points for mask in p.pattern), "a unit is off somewhere"
    rational_networks.points.cache_clear()
    assert rational_networks.points() == points, "the same at every call"


# --- the checks ---------------------------------------------------------------------------------

EVERY = [(name, check) for name, checks in CHECKS.items() for check in checks]


def claim(*checks: EnclosedCheck, **fields: Any) -> Claim:
    return Claim(id="x", where="new", title="t", printed="1 = 1", chapter="book/x", enclosed=checks, **fields)


@pytest.mark.parametrize(("name", "check"), EVERY)
def test_a_wrong_variant_in_the_place_of_the_right_one_is_refused(name: str, check: EnclosedCheck) -> None:
    assert name in ledger.CLAIMS
    assert judge(claim(check)).failures == ()
    assert judge(claim(dataclasses.replace(check, sides=check.tooth))).verdict is Verdict.BROKEN
    blunt = judge(claim(dataclasses.replace(check, tooth=check.sides)))
    assert blunt.failures == (f"{check.name}: the tooth does not bite ({check.wrong})",)


def pairs(*sides: Sides) -> Callable[[], Iterator[Sides]]:
    return lambda: iter(sides)


ONE, TWO = interval(1), interval(2)
LESS = EnclosedCheck("less", "<=", pairs((ONE, TWO), (HALF, HALF)), pairs((TWO, ONE)), "exchanged")
EQUAL = EnclosedCheck("equal", "=", pairs((THIRD, interval(THIRD))), pairs((ONE, TWO)), "twice")


def test_enclosed_evidence_is_counted_apart() -> None:
    result = judge(claim(LESS, EQUAL))
    assert (result.verdict, result.evidence) == (Verdict.HOLDS, (Evidence.ENCLOSED,))
    assert (result.enclosed.trials, result.numeric.trials) == (3, 0)
    assert 0 < result.enclosed.worst < 1e-79
    assert result.enclosed.tolerance == 1e-30
    assert math.isnan(result.numeric.worst)
    words = ledger.evidence_in_words(result)
    assert words.startswith("interval arithmetic, 3 comparisons, worst ")
    record = json.loads(json.dumps(ledger.as_record(result), allow_nan=False))
    assert record["enclosed"] == {"trials": 3, "worst": result.enclosed.worst, "tolerance": 1e-30}
    assert (record["trials"], record["worst"], record["tolerance"]) == (0, None, None)
    assert ledger.as_record(judge(dataclasses.replace(claim(), enclosed=())))["enclosed"] is None


def test_both_kinds_of_checks_stand_side_by_side() -> None:
    numeric = Check("n", lambda draw: torch.zeros(2), lambda draw: torch.ones(1), "w")
    result = judge(claim(LESS, checks=(numeric,)))
    assert result.evidence == (Evidence.ENCLOSED, Evidence.NUMERIC)
    assert (result.enclosed.trials, result.numeric.trials) == (2, 2)
    assert (result.enclosed.worst, result.numeric.worst) == (0.0, 0.0)
    assert "interval arithmetic, 2 comparisons" in ledger.evidence_in_words(result)
    assert "numeric, 2 trials in float64" in ledger.evidence_in_words(result)


WIDE = interval(0, 3)


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (dataclasses.replace(LESS, sides=pairs((TWO, ONE))), "less: not proved: the left side exceeds"),
        (dataclasses.replace(LESS, sides=pairs((WIDE, ONE))), "less: not proved"),
        (
            dataclasses.replace(LESS, sides=pairs((ONE + interval(Fraction(1, 10**40)), ONE))),
            "less: not proved",
        ),
        (dataclasses.replace(LESS, sides=pairs((interval(THIRD), interval(THIRD)))), "less: not proved"),
        (dataclasses.replace(LESS, sides=pairs()), "less: nan exceeds"),
        (dataclasses.replace(LESS, tooth=pairs((WIDE, ONE))), "the tooth does not bite (exchanged)"),
        (dataclasses.replace(LESS, tooth=pairs()), "the tooth does not bite"),
        (dataclasses.replace(EQUAL, sides=pairs((ONE, TWO))), "equal: 3.33e-01 exceeds 1e-30"),
        (dataclasses.replace(EQUAL, sides=pairs((WIDE, ONE))), "equal: 2.00e+00 exceeds 1e-30"),
        (dataclasses.replace(EQUAL, sides=pairs((ONE / interval(-1, 1), ONE))), "equal: inf exceeds"),
        (dataclasses.replace(EQUAL, tooth=pairs((WIDE, ONE))), "the tooth does not bite (twice)"),
        (dataclasses.replace(EQUAL, sides=lambda: iter([(enclosure.log(WIDE), ONE)])), "no logarithm"),
    ],
)
def test_what_is_false_or_cannot_be_decided_never_passes(check: EnclosedCheck, message: str) -> None:
    result = judge(claim(check))
    assert result.verdict is Verdict.BROKEN
    assert any(message in failure for failure in result.failures), result.failures
    assert not result.as_expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"relation": "<"}, "less: the relation must be '=' or '<=', got '<'"),
        ({"tolerance": 0.0}, "less: the tolerance must be positive"),
        ({"tolerance": math.nan}, "less: the tolerance must be positive"),
    ],
)
def test_a_check_that_makes_no_sense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(LESS, **fields)


def test_every_enclosed_check_stands_in_the_file_of_its_claim() -> None:
    folder = Path(enclosed.__file__).parent
    files = [
        importlib.import_module(f"{enclosed.__name__}.{path.stem}")
        for path in folder.glob("*.py")
        if path.stem != "__init__"
    ]
    assert sum(len(file.CHECKS) for file in files) == len(CHECKS), "an id in two files, or a file left out"
    for file in files:
        statements = vars(importlib.import_module(file.__name__.replace(".enclosed.", ".statements.")))
        assert set(file.CHECKS) <= {value.id for value in statements.values() if isinstance(value, Claim)}
    assert all(claim.enclosed == CHECKS.get(name, ()) for name, claim in ledger.CLAIMS.items())
    two_classes = {"eq-8", "eq-23", "eq-25", "prop-3.1", "prop-3.2", "prop-3.3", "lemma-3.2-hessian", "eq-11"}
    assert two_classes <= set(CHECKS)
    assert isinstance(rational_networks.points()[0].loss, Jet)
