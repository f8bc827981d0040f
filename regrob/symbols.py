"""SymPy helpers: one cross-entropy for every n and K, and proofs that raise when they fail.

The loss is written with indexed sums, so that a derivation is valid for every input size n
and every number of classes K at once. A derivative of a sum brings Kronecker deltas;
`differentiate` collapses them. (`diff` of a MatrixSymbol product is of no use here: it
returns 0 without a word.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import sympy as sp
from sympy import Expr
from sympy.concrete.delta import deltasummation

from regrob.errors import InputError, ProofError


@dataclass
class Sizes:
    """For how many classes K and inputs n a proof was carried out, as it went along.

    Attributes:
        general: what made it hold for every size: symbolic sums over the classes, or a reason in words.
        fixed: the sizes that it fixed, {"K": 3}.
    """

    general: list[str] = field(default_factory=list)
    fixed: dict[str, int] = field(default_factory=dict)


_watching: ContextVar[Sizes | None] = ContextVar("sizes of the proof that runs", default=None)

SYMBOLIC = "sums over a symbolic number of classes"


@contextmanager
def watched() -> Iterator[Sizes]:
    """Note for which sizes the helpers of this file prove what they prove inside the block.

    >>> with watched() as sizes:
    ...     K = sp.Symbol("K", positive=True)
    ...     zero = prove_zero((K**2 - 1) / (K - 1) - K - 1)
    >>> sizes.general, sizes.fixed
    (['sums over a symbolic number of classes'], {})
    """
    sizes = Sizes()
    before = _watching.set(sizes)
    try:
        yield sizes
    finally:
        _watching.reset(before)


def for_every_size(why: str) -> None:
    """Say why what a proof shows does not hang on the numbers of inputs and classes: they do not enter."""
    sizes = _watching.get()
    if sizes is not None and why not in sizes.general:
        sizes.general.append(why)


def at_size(**fixed: int) -> None:
    """Say that a proof goes on at these sizes only: `at_size(K=3)`."""
    sizes = _watching.get()
    if sizes is not None:
        sizes.fixed |= fixed


def note_classes(expression: Expr) -> None:
    """Note a proof's number of classes as symbolic where the expression has the symbol K."""
    if any(symbol.name == "K" for symbol in sp.sympify(expression).free_symbols):
        for_every_size(SYMBOLIC)


def prove_zero(expression: Expr, *, because: str = "") -> Expr:
    """Return 0 if SymPy can reduce the expression to it.

    Raises:
        ProofError: it cannot, or the expression is not zero.

    >>> t = sp.symbols("t")
    >>> prove_zero((t + 1)**2 - t**2 - 2*t - 1)
    0
    """
    note_classes(expression)
    for reduce in (sp.expand, sp.simplify, lambda e: sp.simplify(sp.expand(e)), sp.radsimp):
        if reduce(expression) == 0:
            return sp.S.Zero
    remainder = sp.simplify(expression)
    raise ProofError(f"not proved zero{': ' + because if because else ''}; what is left is {remainder}")


def prove_equal(left: Expr, right: Expr, *, because: str = "") -> Expr:
    """Return the common value if SymPy can prove left = right; raise ProofError otherwise."""
    note_classes(left)  # before the difference cancels what both sides share
    prove_zero(left - right, because=because or f"{left} = {right}")
    return right


def prove_sign(expression: Expr, sign: str, *, certificate: Expr | None = None) -> Expr:
    """Prove that an expression is positive or nonnegative and return its certificate.

    A certificate is an equal expression whose sign SymPy reads off its parts: a product or a
    sum of squares of symbols whose signs were declared. Plots prove nothing.

    Args:
        expression: what is to be signed.
        sign: "positive" or "nonnegative"; negate the expression for the others.
        certificate: the equal expression; the expression's own factored form if None.

    Raises:
        ProofError: the certificate is not equal to the expression, or shows no sign.
        InputError: another word than the two for `sign`.

    >>> p = sp.symbols("p", positive=True)
    >>> prove_sign(p**2 + 2*p, "positive")
    p*(p + 2)
    """
    if sign not in ("positive", "nonnegative"):
        raise InputError(f"sign must be 'positive' or 'nonnegative', got {sign!r}")
    note_classes(expression)
    proof = sp.factor(expression) if certificate is None else certificate
    if certificate is not None:
        prove_zero(expression - certificate, because="the certificate equals the expression")
    if not getattr(proof, f"is_{sign}"):
        raise ProofError(f"not proved {sign}: {proof}")
    return proof


def differentiate(expression: Expr, by: Expr, index: sp.Symbol) -> Expr:
    """∂expression/∂by, with every sum over `index` of a Kronecker delta collapsed.

    The index of `by` is taken to lie within the range of the sum, which is what lets the
    delta pick exactly one term.
    """
    note_classes(expression)

    def is_delta_sum(part: Expr) -> bool:
        return (
            isinstance(part, sp.Sum) and part.function.has(sp.KroneckerDelta) and part.limits[0][0] == index
        )

    return sp.diff(expression, by).replace(
        is_delta_sum,
        lambda part: deltasummation(part.function, part.limits[0], no_piecewise=True),
    )


def sum_over(expression: Expr, moment: Callable[..., Expr], *variables: sp.Symbol) -> Expr:
    """Σ over classes of a polynomial in one class's variables, in terms of moments: any K at once.

    Summation is linear, so only Σ_k x_k^i y_k^j … is ever needed; `moment(i, j, …)` names it.
    A double sum is a sum of a sum: apply this to one class's variables, then to the other's.

    >>> p, a = sp.symbols("p a")
    >>> sum_over(p * (a - 1)**2, lambda i, j: sp.Symbol(f"S{i}{j}"), p, a)
    S10 - 2*S11 + S12
    """
    for_every_size(SYMBOLIC)
    terms = sp.Poly(sp.expand(expression), *variables).terms()
    return sp.Add(*[coefficient * moment(*powers) for powers, coefficient in terms])


@dataclass(frozen=True)
class CrossEntropy:
    """L(x) = log Σ_k exp z_k − z_y with z_k = Σ_c v[c,k] x[c], for symbolic n and K.

    Attributes:
        n, K: input size and number of classes, symbolic.
        a, b, c: input indices; `c` is summed over.
        k: class index that is summed over.
        y: the label.
        v, x: V's entries v[c, k] and the input's x[c].
    """

    n: sp.Symbol
    K: sp.Symbol
    a: sp.Symbol
    b: sp.Symbol
    c: sp.Symbol
    k: sp.Symbol
    y: sp.Symbol
    v: sp.IndexedBase
    x: sp.IndexedBase

    def logit(self, k: Expr) -> Expr:
        """z_k."""
        return sp.Sum(self.v[self.c, k] * self.x[self.c], (self.c, 0, self.n - 1))

    @property
    def partition(self) -> Expr:
        """Σ_k exp z_k."""
        return sp.Sum(sp.exp(self.logit(self.k)), (self.k, 0, self.K - 1))

    @property
    def loss(self) -> Expr:
        """L = −log p_y."""
        return sp.log(self.partition) - self.logit(self.y)

    def mean(self, term: Expr) -> Expr:
        """Σ_k p_k · term_k: the average of an expression in k under the predicted p."""
        weighted = sp.Sum(term * sp.exp(self.logit(self.k)), (self.k, 0, self.K - 1))
        return weighted / self.partition

    def gradient(self) -> Expr:
        """∂L/∂x[a], differentiated, not quoted."""
        return differentiate(self.loss, self.x[self.a], self.c)

    def hessian(self) -> Expr:
        """∂²L/∂x[a]∂x[b], differentiated, not quoted."""
        return differentiate(self.gradient(), self.x[self.b], self.c)


def cross_entropy() -> CrossEntropy:
    """The symbolic loss with fresh symbols n, K, a, b, c, k, y, v, x."""
    n, K = sp.symbols("n K", integer=True, positive=True)
    a, b, c, k, y = sp.symbols("a b c k y", integer=True, nonnegative=True)
    v, x = sp.IndexedBase("v", real=True), sp.IndexedBase("x", real=True)
    return CrossEntropy(n, K, a, b, c, k, y, v, x)
