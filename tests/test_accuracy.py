"""Proved rounding errors: that they hold, that they are not far too large, and that they catch naive code."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import flint
import numpy as np
import pytest
import torch
from flint import arb
from torch import Tensor
from torch.nn import functional

from regrob.claims import accuracy
from regrob.claims.accuracy import FORMS, RANGES, Accuracy, Form
from regrob.claims.rounded_tensor import RoundedTensor
from regrob.claims.rounding import ULPS, ZERO, Arithmetic, Rounded
from regrob.errors import InputError
from regrob.theory import bounds, derivatives, probability, taylor_radius

F32, F64 = torch.float32, torch.float64
DTYPES = tuple(RANGES)
TARGETS = {
    (F64, 2): 1e-12,
    (F64, 10): 1e-12,
    (F32, 2): 1e-5,
    (F32, 10): 2e-5,
}
SAMPLES = {2: 400, 10: 80}  # by the number of classes


@pytest.fixture(autouse=True)
def _many_bits() -> Any:
    with flint.ctx.workprec(256):
        yield


@cache
def proved() -> tuple[Accuracy, ...]:
    return tuple(accuracy.bound_all())


def exactly(values: Tensor) -> RoundedTensor:
    """A tensor's own numbers, without error."""
    numbers = np.empty(values.shape, dtype=object)
    for place in np.ndindex(numbers.shape):
        numbers[place] = Rounded(arb(float(values[place])))
    return RoundedTensor(numbers, Arithmetic(values.dtype))


def observed(computed: Tensor, exact: Sequence[Rounded], floor: float = 0.0) -> list[float]:
    """|computed − exact| / |exact|, or over `floor` if that is larger."""
    errors = []
    for value, number in zip(computed.flatten().tolist(), exact, strict=True):
        gap = abs(arb(value) - number.exact)
        size = max(number.exact.abs_lower(), arb(floor))
        errors.append(0.0 if value == 0 and number.exact == 0 else float((gap / size).abs_upper()))
    return errors


def sampled_logits(dtype: torch.dtype, classes: int, *, wrong_too: bool) -> Tensor:
    """Leads over the whole range, of logits that are not round numbers."""
    low, high = RANGES[dtype]
    generator = torch.Generator().manual_seed(classes)
    samples = SAMPLES[classes]
    spread = torch.rand(samples, generator=generator, dtype=F64)
    leads = low * (high / low) ** spread
    leads[samples // 3 :] = low + (high - low) * spread[samples // 3 :]
    if wrong_too:
        leads[::2] *= -1
    rival = leads * (torch.rand(samples, generator=generator, dtype=F64) - 0.5)
    z = torch.stack([rival + leads, *(rival,) * (classes - 1)], dim=-1).to(dtype)
    within = (z[:, 0] - z[:, 1]).abs()  # rounding must not leave the range
    return z[(within >= low) & (within <= high)]


def several(values: Any) -> tuple[Tensor, ...]:
    return (values,) if isinstance(values, Tensor) else tuple(values)


def largest_observed(form: Form, dtype: torch.dtype) -> float:
    z = sampled_logits(dtype, form.classes, wrong_too=form.wrong_too)
    y = torch.zeros(len(z), dtype=torch.int64)
    V = torch.tensor([accuracy.COLUMNS[: form.classes]], dtype=dtype).expand(len(z), 1, form.classes)
    computed = several(form.compute(V, z, y))
    exact = several(form.compute(exactly(V), exactly(z), y))
    return max(
        max(observed(value, list(enclosed.numbers.flat), form.floor))
        for value, enclosed in zip(computed, exact, strict=True)
    )


# --- what is proved -----------------------------------------------------------------------------


def test_every_closed_form_keeps_its_digits_over_the_whole_range() -> None:
    assert len(proved()) == len(FORMS) * len(DTYPES)
    for bound in proved():
        assert 0 < bound.worst <= TARGETS[bound.dtype, bound.form.classes], bound
        low, high = RANGES[bound.dtype]
        assert low <= abs(bound.lead) <= high


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.name}, K={form.classes}")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_no_sample_errs_more_than_is_proved_nor_a_hundredth_of_it(form: Form, dtype: torch.dtype) -> None:
    bound = next(bound for bound in proved() if bound.form == form and bound.dtype == dtype)
    worst = largest_observed(form, dtype)
    assert worst <= bound.worst <= 100 * worst


def schoolbook(m: arb) -> dict[str, arb]:
    """The two-class quantities by their definitions; 4000 bits make up for what cancels."""
    p = 1 / (1 + (-m).exp())
    q = 1 - p
    nu = abs(arb(accuracy.COLUMNS[0]) - arb(accuracy.COLUMNS[1]))
    xi = (2 * p).log()
    reach = ((1 + 2 * p * xi / q).sqrt() - 1) / p
    rise = arb(accuracy.STEP) * nu
    return {
        "m = log(p_y/q)": (p / q).log(),
        "p_y": p,
        "q = 1 − p_y": q,
        "√q": q.sqrt(),
        "L": -p.log(),
        "ξ = log 2p_y": xi,
        "ξ from m": xi,
        "ν": nu,
        "∇": -q * nu,
        "‖∇‖₂ = qν": q * nu,
        "H": p * q * nu**2,
        "‖H‖₂ = p_y q ν²": p * q * nu**2,
        "ν‖r*‖₂ from m": reach,
        "‖r*‖₂": reach / nu,
        "‖r̃*‖∞": reach / nu,
        "η*": -p.log() + q * rise + p * q * rise**2 / 2,
        "d": m / nu,
    }


@pytest.mark.parametrize("m", [1e-12, 1e-3, 0.7, 30.0, 372.5, 700.0])
def test_the_balls_hold_what_the_definitions_give(m: float) -> None:
    with flint.ctx.workprec(4000):
        truth = schoolbook(arb(m))
    arithmetic = Arithmetic(F64)
    for form in FORMS[: len(truth)]:
        values = form.compute(*accuracy.instances([arb(m)], 2, arithmetic))
        (number,) = values.numbers.flat
        assert number.exact.overlaps(truth[form.name])
        assert number.exact.rad() <= 1e-15 * abs(truth[form.name])


# --- teeth: what naive code is told ------------------------------------------------------------


def _p(z: Tensor, y: Tensor) -> Tensor:
    return probability.label_probability(z, y)


def _softplus(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    return (1 + probability.logit_margin(z, y).exp()).log()


def _length(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    return torch.linalg.vector_norm(derivatives.input_gradient(V, z, y), dim=-1)


def _naive_radius(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    p, q, xi = _p(z, y), probability.rival_probability(z, y), probability.slack(z, y)
    return ((1 + 2 * p * xi / q).sqrt() - 1) / (p * derivatives.cross_lipschitz(V))


NAIVE = (
    Form("1 − p", lambda V, z, y: 1 - _p(z, y)),
    Form("−log p", lambda V, z, y: -_p(z, y).log()),
    Form("log K − L", lambda V, z, y: math.log(2.0) - probability.loss(z, y)),
    Form("log(p/(1 − p))", lambda V, z, y: (_p(z, y) / (1 - _p(z, y))).log()),
    Form(
        "log(½(1 + e^m)) without log1p",
        lambda V, z, y: (0.5 * (1 + probability.logit_margin(z, y).exp())).log(),
    ),
    Form("schoolbook root", _naive_radius, wrong_too=False),
    Form(
        "‖∇‖ by its entries",
        lambda V, z, y: torch.linalg.vector_norm(derivatives.input_gradient(V, z, y), dim=-1),
    ),
    Form("p·q²·ν²", lambda V, z, y: _p(z, y) * probability.rival_probability(z, y).square()),
)


@pytest.mark.parametrize("form", NAIVE, ids=lambda form: form.name)
def test_naive_code_is_caught(form: Form) -> None:
    for dtype in DTYPES:
        assert accuracy.bound(form, dtype).worst > 100 * TARGETS[dtype, 2]


@pytest.mark.parametrize("form", NAIVE[:3], ids=lambda form: form.name)
def test_and_rightly_so(form: Form) -> None:
    for dtype in DTYPES:
        assert largest_observed(form, dtype) > 100 * TARGETS[dtype, 2]


def test_a_bound_that_nothing_proves_is_infinite() -> None:
    overflowing = Form("e^2m", lambda V, z, y: (2 * probability.logit_margin(z, y)).exp(), wrong_too=False)
    assert accuracy.bound(overflowing, F64).worst == math.inf
    table = accuracy.table([accuracy.bound(overflowing, dtype) for dtype in DTYPES])
    assert table["float64"].tolist() == ["none"]


# --- what is taken of torch ----------------------------------------------------------------------

ONE_NUMBER = {
    "exp": (torch.exp, -700.0, 700.0),
    "log": (torch.log, 1e-300, 1e300),
    "log1p": (torch.log1p, 1e-300, 1e300),
    "expm1": (torch.expm1, -700.0, 700.0),
}


def sampled_arguments(low: float, high: float, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    share = torch.rand(20_000, generator=generator, dtype=F64)
    shrink = 1.0 if dtype == F64 else 0.12
    if low > 0:
        return torch.exp((math.log(low) + (math.log(high) - math.log(low)) * share) * shrink).to(dtype)
    spread = (low + (high - low) * share) * shrink
    small = torch.exp(-30 * share) * torch.where(share * 1000 % 1 < 0.5, -1.0, 1.0)
    return torch.cat([spread, small]).to(dtype)


@pytest.mark.parametrize("name", ONE_NUMBER)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_torch_keeps_to_the_stated_units_in_the_last_place(name: str, dtype: torch.dtype) -> None:
    function, low, high = ONE_NUMBER[name]
    x = sampled_arguments(low, high, dtype)
    computed, arithmetic = function(x), Arithmetic(dtype)
    worst = 0.0
    for argument, value in zip(x.tolist(), computed.tolist(), strict=True):
        exact = getattr(arb(argument), name)()
        worst = max(worst, float(abs(arb(value) - exact) / arithmetic.last_place(exact.abs_lower())))
    assert 0.4 < worst <= ULPS[name]


COMPOSED: dict[str, Callable[[Any], Any]] = {
    "sigmoid": torch.sigmoid,
    "log-sigmoid": functional.logsigmoid,
    "softmax": lambda z: torch.softmax(torch.stack([z, -z, z / 3], dim=-1), dim=-1),
    "log-softmax": lambda z: torch.log_softmax(torch.stack([z, -z, z / 3], dim=-1), dim=-1),
    "log-sum-exp": lambda z: torch.logsumexp(torch.stack([z, z / 7, z / 3], dim=-1), dim=-1),
    "mean": lambda z: torch.stack([z, z / 7, z / 3], dim=-1).mean(dim=-1),
    "length": lambda z: torch.linalg.vector_norm(torch.stack([z, z / 7, z / 3], dim=-1), dim=-1),
    "singular value": lambda z: torch.linalg.matrix_norm(
        torch.stack([z, z / 7, z / 3], dim=-1)[:, None], ord=2
    ),
}


@pytest.mark.parametrize("name", COMPOSED)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_torch_composes_its_functions_as_the_arithmetic_does(name: str, dtype: torch.dtype) -> None:
    x = sampled_arguments(-350.0, 350.0, dtype)[::10].contiguous()
    function = COMPOSED[name]
    computed, numbers = function(x), list(function(exactly(x)).numbers.flat)
    used = 0.0
    for value, number in zip(computed.flatten().tolist(), numbers, strict=True):
        gap, allowed = abs(arb(value) - number.exact), number.deviation.abs_upper()
        assert gap.abs_lower() <= allowed
        if not allowed.is_zero():
            used = max(used, float(gap / allowed))
    assert used > 0.1  # of what is allowed


# --- the numbers themselves -----------------------------------------------------------------------

HALF_ULP = 2.0**-53
DOUBLE = Arithmetic(F64)


def test_one_rounding_is_half_a_unit_and_cancelling_magnifies_it() -> None:
    third = DOUBLE.div(Rounded(arb(1)), Rounded(arb(3)))
    assert float(third.relative.abs_upper()) == pytest.approx(0.75 * HALF_ULP, rel=1e-6)  # ⅓ lies in [¼, ½)
    near = DOUBLE.sub(third, Rounded(arb("0.333333333")))
    assert 1e-9 * float(near.relative.abs_upper()) == pytest.approx(0.75 * HALF_ULP, rel=1e-3)
    assert DOUBLE.sub(third, third) == Rounded(ZERO)  # the same computed number


def test_what_underflows_has_an_absolute_error() -> None:
    small = Rounded(arb("1e-200"))
    square = DOUBLE.square(small)
    assert float(square.shift.abs_upper()) == pytest.approx(5e-324)
    total = DOUBLE.add(Rounded(arb(1)), square)
    assert float(total.relative.abs_upper()) < 2.1 * HALF_ULP  # no harm
    assert not square.relative.abs_upper() < 1e10


def test_what_may_be_negative_has_no_root() -> None:
    difference = DOUBLE.sub(DOUBLE.div(Rounded(arb(1)), Rounded(arb(3))), Rounded(arb(1) / 3))
    assert not DOUBLE.sqrt(DOUBLE.add(difference, Rounded(arb("1e-30")))).error.is_finite()


def test_either_branch_may_be_taken_where_the_balls_do_not_decide() -> None:
    wide = RoundedTensor(np.array([Rounded(arb(0.5, 0.1))], dtype=object), DOUBLE)
    rough = torch.where(wide < 0.5, wide, (wide * 3) / 3)
    assert rough.numbers[0].error.contains(arb(HALF_ULP))
    with pytest.raises(InputError, match="two different numbers"):
        torch.where(wide < 0.5, wide, wide + 1)
    for ask in (bool, lambda mask: ~mask, lambda mask: mask & mask):
        with pytest.raises(InputError, match="make them smaller"):
            ask(wide < 0.5)


def test_a_function_of_which_nothing_is_known_is_named() -> None:
    with pytest.raises(InputError, match="torch's tan"):
        torch.tan(exactly(torch.ones(2)))
    with pytest.raises(InputError, match="spectral norm of one row"):
        torch.linalg.matrix_norm(exactly(torch.ones(2, 2)), ord=2)


# --- what the bounds made us mend --------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "m"), [(F64, 400.0), (F64, 700.0), (F32, 80.0)])
def test_the_size_of_a_small_gradient_is_not_zero(dtype: torch.dtype, m: float) -> None:
    V = torch.tensor([[3.0, 0.0], [0.0, 4.0]], dtype=dtype)
    size = bounds.gradient_norm(V, torch.tensor([m, 0.0], dtype=dtype), torch.tensor(0))
    assert float(size) == pytest.approx(5 * math.exp(-m), rel=1e-5)


def test_the_taylor_radius_has_digits_at_the_ends_of_its_range() -> None:
    for m in (1e-12, 700.0):
        with flint.ctx.workprec(4000):
            truth = schoolbook(arb(m))["ν‖r*‖₂ from m"]
        tau = float(taylor_radius.taylor_margin(torch.tensor(m, dtype=F64)))
        assert abs(arb(tau) / truth - 1) < 1e-13
