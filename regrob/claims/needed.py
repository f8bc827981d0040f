"""Which hypotheses a claim needs: without each, exact numbers at which the statement is false.

A claim that is polynomial in p, V and the like is written down once more, so that it can be evaluated at
fractions and put to a solver. `make hypotheses` has Z3 look for the numbers, which `needed.json` keeps; the
ledger checks them in exact arithmetic, and needs no solver. One input and three classes are mostly enough.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.resources import files
from types import SimpleNamespace
from typing import Any, NamedTuple

from regrob.claims.hypotheses import DISTINCT
from regrob.errors import InputError, ProofError

SymbolValues = Any
"""The symbols by name, as attributes: fractions, or a solver's reals."""

Relations = Callable[[SymbolValues], list[Any]]
"""Relations between numbers, all of which are to hold."""

Assignment = Mapping[str, Fraction]
"""Numbers by the names of their symbols."""


@dataclass(frozen=True)
class Polynomial:
    """A claim, or what becomes of it with few inputs and classes, in polynomials.

    Attributes:
        claim: its id.
        symbols: the names of its numbers.
        setting: what the symbols are: probabilities that add to one, a norm. It is never dropped.
        hypotheses: each in words, with its relations.
        statement: what follows.
        superfluous: hypotheses without which it follows all the same, and why they are there.
    """

    claim: str
    symbols: tuple[str, ...]
    setting: Relations
    hypotheses: Mapping[str, Relations]
    statement: Relations
    superfluous: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := set(self.superfluous) - set(self.hypotheses):
            raise InputError(f"{self.claim} has no hypothesis {sorted(unknown)[0]!r} to be superfluous")

    @property
    def needed(self) -> list[str]:
        """The hypotheses that are not superfluous."""
        return [words for words in self.hypotheses if words not in self.superfluous]

    def refute_without(self, dropped: str, instance: Assignment) -> None:
        """Check that at these numbers all holds but the dropped hypothesis and the statement.

        Raises:
            ProofError: it does not, or the numbers are not exact or not those of the symbols.
        """
        if set(instance) != set(self.symbols):
            raise ProofError(f"the instance must give {', '.join(self.symbols)}, got {', '.join(instance)}")
        if inexact := [name for name, number in instance.items() if not isinstance(number, Fraction)]:
            raise ProofError(f"{inexact[0]} must be an exact fraction, got {instance[inexact[0]]!r}")
        numbers = SimpleNamespace(**instance)
        kept = {words: relations for words, relations in self.hypotheses.items() if words != dropped}
        for words, relations in {"the setting": self.setting, **kept}.items():
            if not all(relations(numbers)):
                raise ProofError(f"{words} does not hold at {in_words(instance)}")
        if all(self.statement(numbers)):
            raise ProofError(f"the statement holds at {in_words(instance)}")


def in_words(instance: Assignment) -> str:
    """ "p = 1/4, nu = 1"."""
    return ", ".join(f"{name} = {number}" for name, number in instance.items())


# --- three classes, one input, label 0 ---------------------------------------------------

THREE = ("p0", "p1", "p2", "v0", "v1", "v2")


def probabilities(s: SymbolValues) -> list[Any]:
    """Of three classes."""
    return [s.p0 > 0, s.p1 > 0, s.p2 > 0, s.p0 + s.p1 + s.p2 == 1]


def mean(s: SymbolValues) -> Any:
    """v̄."""
    return s.p0 * s.v0 + s.p1 * s.v1 + s.p2 * s.v2


def gradient_squared(s: SymbolValues) -> Any:
    """‖∇‖² = (v̄ − v_y)²."""
    return (mean(s) - s.v0) * (mean(s) - s.v0)


def hessian(s: SymbolValues) -> Any:
    """‖H‖ = tr H, the variance of v."""
    return s.p0 * s.v0 * s.v0 + s.p1 * s.v1 * s.v1 + s.p2 * s.v2 * s.v2 - mean(s) * mean(s)


def squares(s: SymbolValues) -> Any:
    """‖V‖_F²."""
    return s.v0 * s.v0 + s.v1 * s.v1 + s.v2 * s.v2


def pairs(s: SymbolValues) -> Any:
    """D = Σ_{i<j} (v_i − v_j)²; ν² = 2D/9 and ‖VC‖² = D/3."""
    a, b, c = s.v0 - s.v1, s.v0 - s.v2, s.v1 - s.v2
    return a * a + b * b + c * c


def pq(s: SymbolValues) -> Any:
    """p_y(1 − p_y)."""
    return s.p0 * (s.p1 + s.p2)


LARGEST: dict[str, Relations] = {"y is the one largest logit": lambda s: [s.p0 > s.p1, s.p0 > s.p2]}

THIRD: dict[str, Relations] = {"p_y ≥ 1/3": lambda s: [3 * s.p0 >= 1]}


def norm_sum(s: SymbolValues) -> Any:
    """Σ_{i≠j} p_i p_j (v_i² + v_j²) = 2 Σ p_i(1 − p_i) v_i²."""
    each = [(s.p0, s.v0), (s.p1, s.v1), (s.p2, s.v2)]
    return 2 * sum(p * (1 - p) * v * v for p, v in each)


def three(claim: str, hypotheses: Mapping[str, Relations], statement: Relations) -> Polynomial:
    """A claim at K = 3 and n = 1."""
    return Polynomial(claim, THREE, probabilities, hypotheses, statement)


def ordering(s: SymbolValues) -> list[Any]:
    """‖∇‖²/(K−1) ≤ ‖H‖ ≤ ½‖VC‖² ≤ ½‖V‖_F²."""
    H = hessian(s)
    return [gradient_squared(s) <= 2 * H, pairs(s) >= 6 * H, pairs(s) <= 3 * squares(s)]


THREE_CLASSES = (
    three("cor-half", THIRD, lambda s: [gradient_squared(s) <= 2 * hessian(s)]),
    three(
        "chain-appendix-e",
        THIRD,
        lambda s: [gradient_squared(s) <= 2 * hessian(s), 2 * hessian(s) <= squares(s)],
    ),
    three(
        "eq-42",
        {"p_y ≥ 1/2": lambda s: [2 * s.p0 >= 1]},
        lambda s: [s.p0 * gradient_squared(s) <= hessian(s), gradient_squared(s) <= 2 * hessian(s)],
    ),
    three("cor-ordering", LARGEST, ordering),
    three("chain-section-4", LARGEST, ordering),
    three(
        "chain-cross-lipschitz",
        LARGEST,
        lambda s: [gradient_squared(s) <= 2 * hessian(s), 6 * hessian(s) <= pairs(s)],
    ),
    three("eq-36", LARGEST, lambda s: [hessian(s) <= norm_sum(s), norm_sum(s) <= 2 * pq(s) * squares(s)]),
    three("eq-41", LARGEST, lambda s: [hessian(s) <= 2 * pq(s) * squares(s)]),
    three("eq-43", LARGEST, lambda s: [3 * hessian(s) <= 2 * pq(s) * pairs(s)]),
    three("thm-trace-bound", LARGEST, lambda s: [3 * hessian(s) <= 2 * pq(s) * pairs(s)]),
    three(
        "thm-sharp-norms",
        LARGEST,
        lambda s: [
            3 * gradient_squared(s) <= (s.p1 + s.p2) * pairs(s),
            3 * gradient_squared(s) <= 2 * (s.p1 + s.p2) * (s.p1 + s.p2) * pairs(s),
            3 * hessian(s) <= s.p0 * pairs(s),
            3 * hessian(s) <= 2 * pq(s) * pairs(s),
        ],
    ),
    Polynomial(  # the gaps g of two rivals are m or more, their columns are c away, the farther one `far`
        "thm-affine-certificates",
        ("m", "g1", "g2", "c1", "c2", "far", "d"),
        lambda s: [
            s.g1 >= s.m, s.g2 >= s.m, s.c1 >= 0, s.c2 >= 0,
            s.far >= s.c1, s.far >= s.c2, (s.far - s.c1) * (s.far - s.c2) == 0,
            s.d * s.c1 <= s.g1, s.d * s.c2 <= s.g2, (s.d * s.c1 - s.g1) * (s.d * s.c2 - s.g2) == 0,
        ],
        {"m > 0": lambda s: [s.m > 0], "VC ≠ 0": lambda s: [s.far > 0]},
        lambda s: [s.d * s.far >= s.m],
        superfluous={"VC ≠ 0": "no step changes the class without, and d is infinite"},
    ),
    Polynomial(
        "remark-threshold-log-k",
        ("p0", "p1", "p2"),
        probabilities,
        {"L < log 2": lambda s: [2 * s.p0 > 1]},
        LARGEST["y is the one largest logit"],
    ),
)  # fmt: skip


# --- two classes -------------------------------------------------------------------------

HALF: dict[str, Relations] = {"p_y > 1/2": lambda s: [2 * s.p > 1]}

TWO_CLASSES = (
    Polynomial(
        "chain-binary",
        ("p", "nu"),
        lambda s: [s.p > 0, s.p < 1, s.nu >= 0],
        {"p_y ≥ 1/2": lambda s: [2 * s.p >= 1]},
        lambda s: [(1 - s.p) * (1 - s.p) * s.nu * s.nu <= s.p * (1 - s.p) * s.nu * s.nu],
    ),
    Polynomial(
        "remark-fig3-slopes",
        ("p", "more"),
        lambda s: [s.p > 0, s.p < s.more, s.more < 1],
        HALF,
        lambda s: [
            1 - s.more < 1 - s.p,
            (1 - 2 * s.p) * (1 - 2 * s.p) < (1 - 2 * s.more) * (1 - 2 * s.more),
        ],
    ),
    Polynomial(
        "remark-curvature-confidence",
        ("p",),
        lambda s: [s.p > 0, s.p < 1],
        HALF,
        lambda s: [s.p * (1 - s.p) * (1 - 2 * s.p) < 0],
    ),
    Polynomial(  # s = (a, b); ∇ = −q(a, b) is no zero vector, and H∇ = pqν²∇
        "remark-gradient-eigenvector",
        ("p", "a", "b"),
        lambda s: [s.p > 0, s.p < 1],
        {DISTINCT: lambda s: [s.a * s.a + s.b * s.b > 0]},
        lambda s: [
            (1 - s.p) * (1 - s.p) * (s.a * s.a + s.b * s.b) > 0,
            s.a * s.a * s.a + s.a * s.b * s.b == (s.a * s.a + s.b * s.b) * s.a,
            s.a * s.b * s.a + s.b * s.b * s.b == (s.a * s.a + s.b * s.b) * s.b,
        ],
    ),
    Polynomial(  # |∇ᵀr| = qνr, with ν = ‖s‖₁
        "eq-24",
        ("p", "nu", "r", "epsilon"),
        lambda s: [s.p > 0, s.p < 1, s.nu >= 0, s.r >= 0, s.epsilon >= 0],
        {"‖r‖_∞ ≤ ε": lambda s: [s.r <= s.epsilon]},
        lambda s: [
            (1 - s.p) * s.nu * s.r * (2 + s.p * s.nu * s.r)
            <= (1 - s.p) * s.nu * s.epsilon * (2 + s.p * s.nu * s.epsilon)
        ],
    ),
)

# --- quadratic models --------------------------------------------------------------------

QUADRATIC_MODELS = (
    Polynomial(  # H = diag(top, other), a = |∇ᵀu| along the first axis; t solves at + size·t²/2 = ξ
        "lemma-3.1-upper",
        ("a", "top", "other", "size", "t", "xi"),
        lambda s: [
            s.a >= 0, s.top >= s.other, s.top > 0, s.t >= 0,
            s.size > 0, s.size >= s.top, s.size >= -s.other,
            (s.size - s.top) * (s.size + s.other) == 0,
            2 * s.a * s.t + s.size * s.t * s.t == 2 * s.xi,
        ],
        {"H ⪰ 0": lambda s: [s.other >= 0], "ξ > 0": lambda s: [s.xi > 0]},
        lambda s: [2 * s.a * s.t + s.top * s.t * s.t >= 2 * s.xi],
        superfluous={"ξ > 0": "at ξ ≤ 0 the threshold is reached without a step, and the bound is none"},
    ),
    Polynomial(
        "eq-33-decreasing",
        ("a", "b", "t", "more_a", "more_b", "less", "xi"),
        lambda s: [
            s.a >= 0, s.b >= 0, s.t >= 0, s.less >= 0, s.more_a >= s.a, s.more_b >= s.b,
            2 * s.a * s.t + s.b * s.t * s.t == 2 * s.xi,
            2 * s.more_a * s.less + s.more_b * s.less * s.less == 2 * s.xi,
        ],
        {"ξ > 0": lambda s: [s.xi > 0]},
        lambda s: [s.less <= s.t],
    ),
)  # fmt: skip

# --- one ReLU, h = max(0, a) -------------------------------------------------------------

BOUNDED: dict[str, Relations] = {"l ≤ a ≤ u": lambda s: [s.l <= s.a, s.a <= s.u]}


def relu(s: SymbolValues) -> list[Any]:
    """h = max(0, a)."""
    return [s.h >= 0, s.h >= s.a, s.h * (s.h - s.a) == 0]


ONE_UNIT = (
    Polynomial(
        "thm-relu-relaxation",
        ("l", "u", "alpha", "a", "h"),
        lambda s: [*relu(s), s.l < s.u],
        {
            "l < 0 < u": lambda s: [s.l < 0, s.u > 0],
            "0 ≤ α ≤ 1": lambda s: [s.alpha >= 0, s.alpha <= 1],
            **BOUNDED,
        },
        lambda s: [s.alpha * s.a <= s.h, s.h * (s.u - s.l) <= s.u * (s.a - s.l)],
    ),
    Polynomial(  # what the Lagrangian has beside the squared distance, at a mistake; n = h − a
        "thm-quadratic-duality",
        ("l", "u", "a", "h", "nu", "lambda_", "kappa", "sigma", "rho", "mu", "margin", "e"),
        relu,
        {
            **BOUNDED,
            "λ, κ, σ, ς, μ ≥ 0": lambda s: [
                size >= 0 for size in (s.lambda_, s.kappa, s.sigma, s.rho, s.mu)
            ],
            "z_y − z_j ≤ 0": lambda s: [s.margin <= 0],
            "e ≥ 0": lambda s: [s.e >= 0],
        },
        lambda s: [
            s.nu * s.h * (s.h - s.a) - s.lambda_ * s.h - s.kappa * (s.h - s.a)
            - s.sigma * s.h * (s.u - s.h) - s.rho * (s.h - s.a) * (-s.l - (s.h - s.a))
            + s.mu * s.margin - s.e <= 0
        ],
    ),
)  # fmt: skip

POLYNOMIALS = {
    polynomial.claim: polynomial
    for polynomial in (*TWO_CLASSES, *QUADRATIC_MODELS, *THREE_CLASSES, *ONE_UNIT)
}
"""The polynomial form of each claim that has one, by its id."""


class Needed(NamedTuple):
    """A polynomial claim, and numbers that refute it without one of its hypotheses.

    Attributes:
        polynomial: the claim.
        instances: by dropped hypothesis, the numbers by symbol.
    """

    polynomial: Polynomial
    instances: Mapping[str, Assignment]

    def faults(self) -> Iterator[str]:
        """What is wrong with the instances: one is missing, is not asked for, or refutes nothing."""
        for words in self.polynomial.needed:
            if words not in self.instances:
                yield f"nothing is stored that refutes the statement without {words!r}"
        for words, instance in self.instances.items():
            if words not in self.polynomial.needed:
                yield f"numbers are stored that refute it without {words!r}, which is not needed"
                continue
            try:
                self.polynomial.refute_without(words, instance)
            except ProofError as error:
                yield f"without {words!r}: {error}"


def stored() -> dict[str, dict[str, Assignment]]:
    """The instances of `needed.json`: by claim and dropped hypothesis, the numbers by symbol."""
    written = json.loads(files("regrob.claims").joinpath("needed.json").read_text(encoding="utf-8"))
    return {
        claim: {
            words: {name: Fraction(number) for name, number in instance.items()}
            for words, instance in instances.items()
        }
        for claim, instances in written.items()
    }


def of_claims() -> dict[str, Needed]:
    """What is known of the hypotheses of each claim, by its id."""
    instances = stored()
    return {claim: Needed(polynomial, instances.get(claim, {})) for claim, polynomial in POLYNOMIALS.items()}
