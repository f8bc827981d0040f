"""The SymPy helpers prove what is true, refuse what is not, and differentiate correctly."""

from __future__ import annotations

import itertools

import pytest
import sympy as sp

from regrob.errors import InputError, ProofError
from regrob.symbols import (
    CrossEntropy,
    cross_entropy,
    differentiate,
    prove_equal,
    prove_sign,
    prove_zero,
)

P = sp.symbols("p", positive=True)
T = sp.symbols("t", real=True)


@pytest.mark.parametrize(
    "identity",
    [
        (T + 1) ** 2 - T**2 - 2 * T - 1,
        sp.sin(T) ** 2 + sp.cos(T) ** 2 - 1,
        sp.exp(T) / (1 + sp.exp(T)) - 1 / (1 + sp.exp(-T)),
        2 * P / (1 + sp.sqrt(1 + 2 * P)) - (sp.sqrt(1 + 2 * P) - 1),
        sp.S.Zero,
    ],
)
def test_identities_are_proved(identity: sp.Expr) -> None:
    assert prove_zero(identity) == 0


@pytest.mark.parametrize("wrong", [T, sp.Rational(1, 10**30), sp.sin(T) ** 2 - sp.cos(T) ** 2, sp.nan])
def test_what_is_not_zero_is_refused_with_what_is_left(wrong: sp.Expr) -> None:
    with pytest.raises(ProofError, match="not proved zero: a reason; what is left is"):
        prove_zero(wrong, because="a reason")


def test_equality_returns_the_right_side_or_names_both() -> None:
    assert prove_equal((T + 1) ** 2, T**2 + 2 * T + 1) == T**2 + 2 * T + 1
    with pytest.raises(ProofError, match=r"not proved zero: t = 2\*t; what is left is -t"):
        prove_equal(T, 2 * T)


def test_signs_are_read_off_a_certificate() -> None:
    assert prove_sign(P**2 + 2 * P, "positive") == P * (P + 2)
    square = (T - 1) ** 2
    assert prove_sign(sp.expand(square), "nonnegative", certificate=square) == square


@pytest.mark.parametrize(
    ("expression", "sign", "certificate", "message"),
    [
        (-P, "positive", None, "not proved positive: -p"),
        (P - 1, "nonnegative", None, "not proved nonnegative"),
        ((T - 1) ** 2, "positive", None, "not proved positive"),  # zero at t = 1
        (T**2, "nonnegative", T**2 + 1, "the certificate equals the expression"),
        (T, "nonnegative", T, "not proved nonnegative"),
    ],
)
def test_wrong_signs_and_certificates_are_refused(
    expression: sp.Expr, sign: str, certificate: sp.Expr | None, message: str
) -> None:
    with pytest.raises(ProofError, match=message):
        prove_sign(expression, sign, certificate=certificate)


def test_an_unknown_sign_is_refused() -> None:
    with pytest.raises(InputError, match="'positive' or 'nonnegative', got 'negative'"):
        prove_sign(P, "negative")


def instantiate(
    L: CrossEntropy, expression: sp.Expr, n: int, K: int, V: sp.Matrix, x: sp.Matrix, y: int
) -> sp.Expr:
    """The general expression at given sizes and numbers, its sums written out."""
    values = {L.v[i, k]: V[i, k] for i, k in itertools.product(range(n), range(K))}
    values |= {L.x[i]: x[i] for i in range(n)}
    return expression.subs({L.n: n, L.K: K, L.y: y}).doit().subs(values)


@pytest.mark.parametrize(("n", "K"), [(1, 2), (2, 2), (2, 3)])
def test_the_general_derivatives_agree_with_plain_ones_at_small_sizes(n: int, K: int) -> None:
    L = cross_entropy()
    V = sp.Matrix(n, K, lambda i, k: sp.Rational((3 * i + 5 * k) % 7 - 3, 4))
    x = sp.Matrix(n, 1, sp.symbols(f"x0:{n}"))
    at = {x[i]: sp.Rational(i + 1, 3) for i in range(n)}
    y = K - 1
    z = V.T * x
    loss = sp.log(sum(sp.exp(z_k) for z_k in z)) - z[y]
    for a, b in itertools.product(range(n), repeat=2):
        ours = instantiate(L, L.gradient().subs(L.a, a), n, K, V, x, y).subs(at)
        assert abs(sp.N(ours - sp.diff(loss, x[a]).subs(at), 30)) < 1e-25
        ours = instantiate(L, L.hessian().subs({L.a: a, L.b: b}), n, K, V, x, y).subs(at)
        assert abs(sp.N(ours - sp.diff(loss, x[a], x[b]).subs(at), 30)) < 1e-25
    ours = instantiate(L, L.loss, n, K, V, x, y).subs(at)
    assert abs(sp.N(ours - loss.subs(at), 30)) < 1e-25


def test_the_mean_is_taken_under_p() -> None:
    L = cross_entropy()
    prove_equal(L.mean(sp.S.One), sp.S.One)
    V, x = sp.Matrix([[0, sp.log(3)]]), sp.Matrix([1])  # p = (1/4, 3/4)
    assert sp.simplify(instantiate(L, L.mean(L.k), 1, 2, V, x, 0)) == sp.Rational(3, 4)


def test_differentiate_collapses_its_own_index_only() -> None:
    i, j, n = sp.symbols("i j n", integer=True, positive=True)
    x = sp.IndexedBase("x")
    total = sp.Sum(x[i] ** 2, (i, 0, n - 1))
    assert differentiate(total, x[j], i) == 2 * x[j]
    assert differentiate(total, x[j], sp.Symbol("other")).has(sp.KroneckerDelta)
