"""Appendix D line by line, Eqs. (26) to (32): the proof of Proposition 3.4."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor
from torch.nn import functional

from regrob.claims.claim import Check, Claim, Counterexample, Derivation, Text, Verdict
from regrob.claims.instances import Draw, Sample, signed
from regrob.claims.last_layer import Problem, centre, draw_problems, metrics, minimise, start
from regrob.symbols import prove_equal, prove_sign, prove_zero
from regrob.theory import derivatives

PAGE = "book/proposition_3_4"
LAST = "only the last layer W is trained, and it is linear"
BINARY, NO_BIASES = "K = 2", "no biases"

# --- Eqs. (26) and (27): the loss in terms of one probability, of one difference --------


def prove_26(one: int = 1) -> None:
    """(1 + y)/2 and (1 − y)/2 pick the label's term: both labels in turn, p₋ = 1 − p₊."""
    y, p = sp.symbols("y p", positive=True)
    right = (1 + y) / 2 * sp.log(p) + (1 - y) / 2 * sp.log(one - p)
    prove_equal(right.subs(y, 1), sp.log(p), because="y = +1")
    prove_equal(right.subs(y, -1), sp.log(1 - p), because="y = −1")


def _loss_excess(
    form: Callable[[Sample], Tensor], *, wanted: Callable[[Sample], bool]
) -> Callable[[Draw], Tensor]:
    """A formula for the mean loss over a sample's images against autograd's own cross-entropy."""

    def excess(draw: Draw) -> Tensor:
        pairs = [(form(s), s.autograd.loss.mean()) for s in draw.samples(2) if wanted(s)]
        return torch.stack([(value - loss).abs() / loss for value, loss in pairs])

    return excess


def _by_26(s: Sample, swap: int = 1) -> Tensor:
    p, y = torch.softmax(s.map.z, dim=-1), swap * signed(s.y)
    return -((1 + y) / 2 * p[:, 0].log() + (1 - y) / 2 * p[:, 1].log()).mean()


EQ_26 = Claim(
    id="eq-26",
    where="Appendix D, Eq. (26)",
    title="the loss through the probability of one class",
    printed=(
        r"-E[\log p_y] = -E\left[\tfrac{1+y}2\log p_{+1} + \tfrac{1-y}2\log(1-p_{+1})\right],\quad y=\pm1"
    ),
    hypotheses=(BINARY,),
    chapter=PAGE,
    derivation=Derivation(prove_26, lambda: prove_26(2), "2 − p for 1 − p"),
    checks=(
        Check(
            "the mean loss of networks",
            _loss_excess(_by_26, wanted=lambda s: True),
            _loss_excess(lambda s: _by_26(s, -1), wanted=lambda s: True),
            "the labels exchanged",
            tolerance=1e-9,
        ),
    ),
)


def prove_27(sign: int = 1) -> None:
    """e^a/(e^a + e^b) = e^{a−b}/(e^{a−b} + 1); h(s) = E log(1 + e^{−y sᵀx}) has E p₊p₋(xᵀr)² ≥ 0."""
    a, b, t = sp.symbols("a b t", real=True)
    odds = sp.exp(a - sign * b)
    prove_equal(sp.exp(a) / (sp.exp(a) + sp.exp(b)), odds / (odds + 1), because="p₊ depends on a − b")
    bend = sp.diff(sp.log(1 + sp.exp(-t)), t, 2)
    prove_sign(bend.rewrite(sp.exp), "positive", certificate=sp.exp(t) / (1 + sp.exp(t)) ** 2)


def _by_27(s: Sample, half: float = 1.0) -> Tensor:
    V = s.autograd.jacobian
    along = half * ((V[..., 0] - V[..., 1]) * s.images.flatten(1)).sum(dim=1)  # sᵀx
    return functional.softplus(-signed(s.y) * along).mean()


def _without_biases(s: Sample) -> bool:
    return s.name == "MLP without biases"


EQ_27 = Claim(
    id="eq-27",
    where="Appendix D, Eq. (27)",
    title="the loss depends on the columns' difference, and is convex in it",
    printed=(
        r"p_{+1} = \frac{e^{\langle\mathbf v_+-\mathbf v_-,\mathbf x\rangle}}{e^{\langle\mathbf v_+-\mathbf "
        r"v_-,\mathbf x\rangle}+1},\qquad -E[\log p_y] = h(\mathbf v_+-\mathbf v_-),\ h \text{ convex}"
    ),
    hypotheses=(BINARY, NO_BIASES),
    depends=("eq-5", "eq-26"),
    chapter=PAGE,
    derivation=Derivation(prove_27, lambda: prove_27(-1), "the sum for the difference"),
    checks=(
        Check(
            "the loss of a network without biases, from autograd's Jacobian alone",
            _loss_excess(_by_27, wanted=_without_biases),
            _loss_excess(_by_27, wanted=lambda s: not _without_biases(s)),
            "networks with biases",
            tolerance=1e-9,
        ),
    ),
)

# --- Eqs. (28) and (29) ----------------------------------------------------------------


def prove_28(half: int = 2) -> None:
    """2(a² + b²) = (a − b)² + (a + b)² in every coordinate: λμ² = ½λν² + ½λ‖v₊ + v₋‖²."""
    a, b, lam = sp.symbols("a b lam", real=True)
    prove_zero(lam * (a**2 + b**2) - lam * (a - b) ** 2 / half - lam * (a + b) ** 2 / half)


def _eq_28_excess(half: float) -> Callable[[Draw], Tensor]:
    def one(s: Sample) -> Tensor:
        V = s.autograd.jacobian
        nu, total = V[..., 0] - V[..., 1], V[..., 0] + V[..., 1]
        right = (nu.square().sum(dim=-1) + total.square().sum(dim=-1)) / half
        off: Tensor = (right - derivatives.lipschitz_squared(s.map.V)).abs() / right
        return off

    return lambda draw: draw.over_samples(2, one)


EQ_28 = Claim(
    id="eq-28",
    where="Appendix D, Eq. (28)",
    title="the Jacobian loss is the cross-Lipschitz loss and one more square",
    printed=(
        r"\mathcal L'(V) = h(\mathbf v_+-\mathbf v_-)+\tfrac12\lambda'\nu^2"
        r"+\tfrac12\lambda'\|\mathbf v_++\mathbf v_-\|_2^2,\quad 2\mu^2 = \nu^2+\|\mathbf v_++\mathbf v_-\|_2^2"
    ),
    hypotheses=(BINARY,),
    depends=("eq-27",),
    chapter=PAGE,
    derivation=Derivation(prove_28, lambda: prove_28(1), "no halves"),
    checks=(
        Check(
            "μ² of networks against autograd's two columns",
            _eq_28_excess(2.0),
            _eq_28_excess(1.0),
            "no halves",
        ),
    ),
)


def prove_29(sign: int = 1) -> None:
    """(a, b) ↦ ((a − b)/2, (b − a)/2) keeps a − b; (28) then falls by exactly λ(a + b)²/2 ≥ 0."""
    a, b = sp.symbols("a b", real=True)
    lam = sp.symbols("lam", positive=True)
    h = sp.Function("h")

    def loss(a: sp.Expr, b: sp.Expr) -> sp.Expr:
        return h(sp.expand(a - b)) + lam * (a - b) ** 2 / 2 + lam * (a + b) ** 2 / 2

    centred = (a - b) / 2
    prove_zero(loss(centred, -sign * centred) - loss(a, b) + lam * (a + b) ** 2 / 2)
    prove_sign(lam * (a + b) ** 2 / 2, "nonnegative")


def _eq_29_excess(move: Callable[[Tensor], Tensor]) -> Callable[[Draw], Tensor]:
    def excess(draw: Draw) -> Tensor:
        W = start(draw, problem := draw_problems(draw, 2))
        before = problem.jacobian(W)
        fall = before - problem.jacobian(move(W))
        return (fall - 0.5 * problem.weight * problem.total(W)).abs() / before

    return excess


EQ_29 = Claim(
    id="eq-29",
    where="Appendix D, Eq. (29)",
    title="centring the columns never raises the Jacobian loss",
    printed=(
        r"\mathcal L'(\hat V')-\mathcal L'(V') = \tfrac12\lambda'\|\hat{\mathbf v}'_++\hat{\mathbf v}'_-\|^2"
        r"-\tfrac12\lambda'\|\mathbf v'_++\mathbf v'_-\|^2 \le -\tfrac12\lambda'\|\mathbf v'_++\mathbf v'_-\|^2 \le 0"
    ),
    corrected=(
        r"\text{the first “}\le\text{” is an equality; } \hat{\mathbf v}'_+ = (\mathbf v'_+-\mathbf v'_-)/2 "
        r"\text{ with its primes. For } \lambda'>0 \text{ it leads to } \mathbf v'_++\mathbf v'_-=0"
    ),
    text=Text.RESTATED,
    transcription=True,
    hypotheses=(BINARY, "any V, minimiser or not"),
    depends=("eq-28",),
    chapter=PAGE,
    derivation=Derivation(prove_29, lambda: prove_29(-1), "two equal columns"),
    checks=(
        Check(
            "the fall of the loss on random problems",
            _eq_29_excess(centre),
            _eq_29_excess(lambda W: W - W.sum(dim=-1, keepdim=True)),
            "the columns' sum taken away, not their mean",
        ),
    ),
)

# --- Eqs. (30), (31), (32): at the minimisers ------------------------------------------


def _at_minimiser(which: int, compare: Callable[[Problem, Tensor], Tensor]) -> Callable[[Draw], Tensor]:
    """Minimise J (0) or C (1) over the last layer from a random start, then compare."""

    def excess(draw: Draw) -> Tensor:
        problem = draw_problems(draw, 2)
        return compare(problem, minimise(problem, start(draw, problem), metrics(2)[which]))

    return excess


def _gap(problem: Problem, W: Tensor, factor: float = 1.0) -> Tensor:
    """J(W) against C(W)."""
    J = problem.jacobian(W)
    return (J - problem.cross_lipschitz(W, factor)).abs() / J


def prove_agree(part: int = 2) -> None:
    """Where b = −a, λ(a² + b²) = λ(a − b)²/2, coordinate by coordinate."""
    a, lam = sp.symbols("a lam", real=True)
    b = -a
    prove_zero(lam * (a**2 + b**2) - lam * (a - b) ** 2 / part)


EQ_30 = Claim(
    id="eq-30",
    where="Appendix D, Eq. (30)",
    title="both losses agree at the Jacobian loss's minimiser",
    printed=r"\mathcal L'(V') = \mathcal L''(V') \text{ for } \lambda''=\lambda'/2",
    hypotheses=(BINARY, LAST, "λ' > 0"),
    depends=("eq-28", "eq-29"),
    chapter=PAGE,
    derivation=Derivation(prove_agree, lambda: prove_agree(1), "λ'' = λ'"),
    checks=(
        Check(
            "Newton's minimisers of J",
            _at_minimiser(0, _gap),
            _at_minimiser(0, lambda problem, W: _gap(problem, W, 2.0)),
            "λ'' = λ'",
        ),
    ),
)


def counterexample_31() -> Counterexample:
    """V = (1, 0) and (0, 1) have one sum and two losses, so no l of the sum exists."""
    lam = sp.Rational(1, 2)

    def loss(a: int, b: int) -> sp.Expr:
        return sp.log(1 + sp.exp(-sp.Integer(a - b))) + lam * (a - b) ** 2

    return Counterexample(
        r"n=1,\ (x,y)=(1,+1),\ \lambda''=\tfrac12:\ \mathcal L''(1,0) \text{ against } \mathcal L''(0,1), "
        r"\text{ equal if } \mathcal L'' \text{ were a function of } v_++v_-",
        loss(1, 0),
        "=",
        loss(0, 1),
    )


EQ_31 = Claim(
    id="eq-31",
    where="Appendix D, Eq. (31) and the sentence before it",
    title="both losses agree at the symmetric cross-Lipschitz minimiser",
    printed=(
        r"\mathcal L''(V) = l(\mathbf v_++\mathbf v_-),\ \mathbf w''=\operatorname{argmin} l,\ "
        r"\mathbf v''_+=\mathbf w''/2,\ \mathbf v''_-=-\hat{\mathbf v}''_+:\quad \mathcal L'(V'')=\mathcal L''(V'')"
    ),
    corrected=(
        r"\mathcal L''(V) = l(\mathbf v_+-\mathbf v_-) \text{ and } \mathbf v''_-=-\mathbf v''_+; "
        r"\text{ then } \mathcal L'(V'')=\mathcal L''(V'')"
    ),
    text=Text.CORRECTED,
    transcription=True,
    hypotheses=(BINARY, LAST, "λ'' = λ'/2 > 0"),
    depends=("eq-28",),
    chapter=PAGE,
    derivation=EQ_30.derivation,
    checks=(
        Check(
            "Newton's minimisers of C, made symmetric",
            _at_minimiser(1, lambda problem, W: _gap(problem, centre(W))),
            _at_minimiser(1, _gap),
            "minimisers that are not symmetric",
        ),
    ),
    counterexample=counterexample_31,
    partly=True,
    expected=Verdict.PARTLY,
)


def _minima_excess(factor: float) -> Callable[[Draw], Tensor]:
    """The least J against the least C, each found from its own start."""

    def excess(draw: Draw) -> Tensor:
        problem = draw_problems(draw, 2)
        W = start(draw, problem)
        identity, centring = metrics(2)
        least = problem.jacobian(minimise(problem, W, identity))
        other = problem._replace(weight=factor * problem.weight)
        return (other.cross_lipschitz(minimise(other, -2 * W, centring)) - least).abs() / least

    return excess


def prove_32(slip: int = 0) -> None:
    """J' = C', C' − C'' = s ≥ 0 and J'' = C'' give J'' − J' = −s, which is ≥ 0 too: so s = 0."""
    J1, s = sp.symbols("J1 s", real=True)  # the Jacobian loss at V', the first slack
    C2 = J1 - s  # by (30), and as V'' minimises L''
    J2 = C2 + slip  # (31)
    prove_zero(J2 - J1 + s, because="two slacks, both at least zero, add to zero")


EQ_32 = Claim(
    id="eq-32",
    where="Appendix D, Eq. (32)",
    title="the two least losses are equal",
    printed=(r"\mathcal L'(V')=\mathcal L''(V')\ge\mathcal L''(V'')=\mathcal L'(V'')\ge\mathcal L'(V')"),
    corrected=(
        r"\min\mathcal L'=\min\mathcal L'',\ V'\in\operatorname{argmin}\mathcal L'',\ V''\in\operatorname{argmin}"
        r"\mathcal L';\ \text{ it says nothing of the other minimisers of } \mathcal L''"
    ),
    text=Text.RESTATED,
    hypotheses=(BINARY, LAST, "λ'' = λ'/2 > 0", "minimisers exist"),
    depends=("eq-30", "eq-31"),
    chapter=PAGE,
    derivation=Derivation(prove_32, lambda: prove_32(1), "(31) off by one"),
    checks=(
        Check(
            "the least values, by Newton's method on each",
            _minima_excess(1.0),
            _minima_excess(2.0),
            "λ'' = λ'",
        ),
    ),
)

CLAIMS = (EQ_26, EQ_27, EQ_28, EQ_29, EQ_30, EQ_31, EQ_32)
"""Eqs. (26) to (32), in the paper's order."""
