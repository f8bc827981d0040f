"""How many digits the closed forms keep: their code is run on `rounding`'s numbers, over the whole range of leads.

The lead is t = z_y − z_j, the same for all rivals j; with two classes it is the logit margin m. V has one input: each
further input adds one rounding to a sum over inputs. V and z are taken as exact. The range is cut into intervals,
shorter ones where the error is largest, and on each the bound holds for every lead in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from flint import arb, ctx
from torch import Tensor

from regrob.certificates import affine
from regrob.claims.rounded_tensor import BITS, RoundedTensor, UndecidedError
from regrob.claims.rounding import Arithmetic, Rounded
from regrob.theory import bounds, derivatives, margin, probability, taylor_radius

if TYPE_CHECKING:
    import pandas as pd

Leads = tuple[float, float]

RANGES: dict[torch.dtype, Leads] = {torch.float64: (1e-12, 700.0), torch.float32: (1e-6, 80.0)}
"""From the smallest lead to the largest, in each format."""

TIGHT = 1.2
"""How far a bound may lie above what is proved at single leads."""

NARROW = 1e-6
"""An interval that is shorter than this part of its leads is not halved: no bound is found."""

COLUMNS = (1.3, -0.9, 0.2, -1.1, 0.7, -0.3, 0.9, -1.4, 0.4, -0.2)
"""The columns of V, in the one input there is."""

STEP = 3 / 32
"""ε of the worst-case loss."""


class Form(NamedTuple):
    """A closed form of the package.

    Attributes:
        name: the quantity, in symbols.
        compute: (V, z, y) → its values, one tensor or several.
        classes: K.
        wrong_too: whether it also holds where the label loses, at negative leads.
        floor: the error is relative to the value, or to this number if the value is smaller.
    """

    name: str
    compute: Callable[[Tensor, Tensor, Tensor], Any]
    classes: int = 2
    wrong_too: bool = True
    floor: float = 0.0


class Accuracy(NamedTuple):
    """A proved bound: the largest relative error of a form in one format, and a lead near which it is reached."""

    form: Form
    dtype: torch.dtype
    worst: float
    lead: float


def _of_margin(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda V, z, y: function(probability.logit_margin(z, y))


def _of_logits(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda V, z, y: function(z, y)


FORMS = (
    Form("m = log(p_y/q)", _of_logits(probability.logit_margin)),
    Form("p_y", _of_logits(probability.label_probability)),
    Form("q = 1 − p_y", _of_logits(probability.rival_probability)),
    Form("√q", _of_margin(probability.root_rival_probability)),
    Form("L", _of_logits(probability.loss)),
    Form("ξ = log 2p_y", _of_logits(probability.slack)),
    Form("ξ from m", _of_margin(probability.binary_slack)),
    Form("ν", lambda V, z, y: derivatives.cross_lipschitz(V)),
    Form("∇", derivatives.input_gradient),
    Form("‖∇‖₂ = qν", bounds.gradient_norm),
    Form("H", lambda V, z, y: derivatives.hessian(V, z)),
    Form("‖H‖₂ = p_y q ν²", lambda V, z, y: derivatives.curvature(V, z)),
    Form("ν‖r*‖₂ from m", _of_margin(taylor_radius.taylor_margin), wrong_too=False),
    Form("‖r*‖₂", taylor_radius.radius_l2, wrong_too=False),
    Form("‖r̃*‖∞", taylor_radius.radius_linf, wrong_too=False),
    Form("η*", lambda V, z, y: taylor_radius.worst_case_loss(V, z, y, STEP)),
    Form("d", margin.margin_l2, wrong_too=False),
    Form("certificates", affine.affine_certificates, wrong_too=False),
    Form("bracket of ‖H‖₂", bounds.curvature_bracket, wrong_too=False),
    Form("bracket of ‖r*‖₂", bounds.radius_l2_bracket, wrong_too=False),
    Form("bracket of ‖r̃*‖∞", bounds.radius_linf_bracket, wrong_too=False),
    Form("m, over max(1, |m|)", _of_logits(probability.logit_margin), 10, wrong_too=False, floor=1.0),
    Form("q", _of_logits(probability.rival_probability), 10, wrong_too=False),
    Form("L", _of_logits(probability.loss), 10, wrong_too=False),
    Form("ξ = log K p_y", _of_logits(probability.slack), 10, wrong_too=False),
    Form("∇", derivatives.input_gradient, 10, wrong_too=False),
    Form("d", margin.margin_l2, 10, wrong_too=False),
    Form("bracket of ‖H‖₂", bounds.curvature_bracket, 10, wrong_too=False),
    Form("bracket of ‖r*‖₂", bounds.radius_l2_bracket, 10, wrong_too=False),
    Form("bracket of ‖r̃*‖∞", bounds.radius_linf_bracket, 10, wrong_too=False),
)
"""What is bounded."""


def bound(form: Form, dtype: torch.dtype) -> Accuracy:
    """Bound the relative error of a form over the whole range of leads, both signs where it has both.

    Infinite if no bound was found.
    """
    low, high = RANGES[dtype]
    signs = (1, -1) if form.wrong_too else (1,)
    return max((_over(form, dtype, sign, low, high) for sign in signs), key=lambda bound: bound.worst)


def bound_all(forms: Iterable[Form] = FORMS) -> list[Accuracy]:
    """`bound` for each form, in float64 and in float32."""
    return [bound(form, dtype) for form in forms for dtype in RANGES]


def bounds_at(form: Form, dtype: torch.dtype, leads: Sequence[arb]) -> list[float]:
    """The bound on the relative error for each ball of leads; infinite where a ball is too wide for the code."""
    if not leads:
        return []
    arithmetic = Arithmetic(dtype)
    with ctx.workprec(BITS):
        try:
            values = form.compute(*instances(leads, form.classes, arithmetic))
        except UndecidedError:
            half = len(leads) // 2
            parts = (leads[:half], leads[half:]) if half else ()
            return [bound for part in parts for bound in bounds_at(form, dtype, part)] or [math.inf]
        several = (values,) if isinstance(values, Tensor) else tuple(values)
        rows = np.concatenate([value.numbers.reshape(len(leads), -1) for value in several], axis=1)
        return [max(_relative(number, form.floor) for number in row) for row in rows]


def instances(leads: Sequence[arb], classes: int, arithmetic: Arithmetic) -> tuple[Tensor, Tensor, Tensor]:
    """V (T, 1, K), z (T, K) and y (T) in which label 0 leads all rivals by each ball of leads."""
    columns = [
        Rounded(arb(float(column))) for column in torch.tensor(COLUMNS[:classes], dtype=arithmetic.dtype)
    ]
    V, z = np.empty((len(leads), 1, classes), object), np.empty((len(leads), classes), object)
    for i, lead in enumerate(leads):
        V[i, 0] = columns
        z[i] = [Rounded(lead / 2)] + [Rounded(-lead / 2)] * (classes - 1)
    return (
        RoundedTensor(V, arithmetic),
        RoundedTensor(z, arithmetic),
        torch.zeros(len(leads), dtype=torch.int64),
    )


def table(proved: Iterable[Accuracy]) -> pd.DataFrame:
    """One row a form: classes, quantity, and the bound in each format."""
    import pandas as pd

    rows: dict[tuple[str, str], dict[str, str]] = {}
    for bound in proved:
        row = rows.setdefault((str(bound.form.classes), bound.form.name), {})
        name = str(bound.dtype).removeprefix("torch.")
        row[name] = f"{bound.worst:.1e}" if math.isfinite(bound.worst) else "none"
    return pd.DataFrame([{"K": classes, "quantity": name, **row} for (classes, name), row in rows.items()])


def _over(form: Form, dtype: torch.dtype, sign: int, low: float, high: float) -> Accuracy:
    """Halve the intervals whose bounds lie above what single leads show, until there are none."""
    ends = _ends(low, high)
    points = bounds_at(form, dtype, [arb(sign * end) for end in ends])
    reached = max(points)  # at single leads
    lead = ends[points.index(reached)]
    worst = reached
    intervals = list(pairwise(ends))
    while intervals and math.isfinite(reached):
        proved = bounds_at(form, dtype, [sign * arb(a).union(arb(b)) for a, b in intervals])
        worst = max([worst, *(bound for bound in proved if bound <= TIGHT * reached)])
        wide = [
            interval for interval, bound in zip(intervals, proved, strict=True) if bound > TIGHT * reached
        ]
        if any(b - a < NARROW * a for a, b in wide):
            worst = math.inf
            break
        middles = [math.sqrt(a * b) for a, b in wide]
        intervals = [half for (a, b), c in zip(wide, middles, strict=True) for half in ((a, c), (c, b))]
        points = bounds_at(form, dtype, [arb(sign * middle) for middle in middles])
        if max(points, default=0.0) > reached:
            reached = max(points)
            lead = middles[points.index(reached)]
    return Accuracy(form, dtype, worst, sign * lead)


def _ends(low: float, high: float) -> list[float]:
    """Where the first intervals end: each at four times the number before it, or 8 above."""
    ends = [low]
    while ends[-1] < high:
        ends.append(min(4 * ends[-1], ends[-1] + 8, high))
    return ends


def _relative(number: Rounded, floor: float) -> float:
    """A float above the largest relative error of a number."""
    if number.exact.is_zero() and number.shift.is_zero():
        return 0.0
    bound = number.relative
    if floor:
        bound = number.deviation / max(number.exact.abs_lower(), arb(floor))
    return math.nextafter(float(bound.abs_upper()), math.inf) if bound.is_finite() else math.inf
