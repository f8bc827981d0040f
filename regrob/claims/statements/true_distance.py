"""Certificates that reach what attacks find: lines around a ReLU, linear bounds, duality, branch and bound."""

from __future__ import annotations

from functools import partial

import sympy as sp

from regrob.claims.claim import Claim, proof
from regrob.claims.hypotheses import ARGMAX
from regrob.claims.statements.proposition_3_1 import prove_cauchy_schwarz
from regrob.errors import ProofError
from regrob.symbols import for_every_size, prove_sign, prove_zero

theorem = partial(Claim, where="new", chapter="book/true_distance")

CHAIN = "a network of affine maps and (leaky) ReLUs of slopes in [0, 1]"
CHAIN_OF_RELUS = "a network of affine maps and ReLUs"

# --- the lines around a ReLU ---------------------------------------------------------------


def prove_lines(height: sp.Expr = sp.S.One) -> None:
    """αa ≤ max(0, a) ≤ u(a − l)/(u − l): on either side of zero each gap is a product of nonnegative numbers."""
    for_every_size("one unit, whatever n and K")
    below, u = sp.symbols("below u", positive=True)  # l = −below
    alpha, rest, up, down, from_u, from_l = sp.symbols(  # rest = 1 − α
        "alpha rest up down from_u from_l", nonnegative=True
    )

    def chord(a: sp.Expr) -> sp.Expr:
        return height * u * (a + below) / (u + below)

    prove_zero(up - alpha * up - (rest * up).subs(rest, 1 - alpha), because="above αa, for a ≥ 0")
    gap = below * from_u / (u + below)
    prove_zero(chord(u - from_u) - (u - from_u) - gap, because="below the chord, for a ≥ 0")
    for size in (rest * up, alpha * down, gap, chord(from_l - below)):  # for a ≤ 0 the ReLU is zero
        prove_sign(size, "nonnegative")


def prove_gaps() -> None:
    """The chord's gap is largest at 0, −lu/(u − l); the two gaps of αa at l and u have a mean of the same size."""
    for_every_size("one unit, whatever n and K")
    below, u, alpha = sp.symbols("below u alpha", positive=True)
    up, down = sp.symbols("up down", nonnegative=True)
    best = below * u / (u + below)
    chord_above = u * (up + below) / (u + below) - up
    chord_below = u * (below - down) / (u + below)
    prove_sign(best - chord_above, "nonnegative", certificate=below * up / (u + below))
    prove_sign(best - chord_below, "nonnegative", certificate=u * down / (u + below))
    at_u, at_l = (1 - alpha) * u, alpha * below
    prove_zero((below * at_u + u * at_l) / (u + below) - best, because="so the larger one is no less")
    prove_zero((at_u - at_l).subs(alpha, u / (u + below)), because="and at α = u/(u − l) they are equal")


def prove_no_closer() -> None:
    """A line above the ReLU at l and u is above the chord; one below it at l, 0 and u is below some αa."""
    for_every_size("one unit, whatever n and K")
    s, t, a = sp.symbols("s t a", real=True)
    below, u = sp.symbols("below u", positive=True)
    ends = (u - a) * (t - s * below) + (a + below) * (s * u + t - u)
    chord = u * (a + below) / (u + below)
    prove_zero(s * a + t - chord - ends / (u + below), because="a mean of its gaps at l and u")
    steeper, falling, from_u, from_l, slack = sp.symbols(
        "steeper falling from_u from_l slack", nonnegative=True
    )
    a, s = u - from_u, 1 + steeper  # the line is `slack` below the ReLU at u: take α = 1
    prove_zero((a - s * a - t).subs(t, u - s * u - slack) - slack - steeper * from_u)
    a, s = from_l - below, -falling  # and here at l: take α = 0
    prove_zero((0 - s * a - t).subs(t, s * below - slack) - slack - falling * from_l)
    for size in (slack + steeper * from_u, slack + falling * from_l):  # with s in [0, 1] take α = s: t ≤ 0
        prove_sign(size, "nonnegative")


RELAXATION = theorem(
    id="thm-relu-relaxation",
    title="a ReLU between two lines",
    printed=r"\alpha a\le\max(0,a)\le\frac{u(a-l)}{u-l}\ \text{ for } l\le a\le u;\quad \text{the gaps are at most } \max\{(1-\alpha)u,-\alpha l\}\ge\frac{-lu}{u-l} \text{ below, equal at } \alpha=\tfrac u{u-l}, \text{ and } \frac{-lu}{u-l} \text{ above, at } a=0;\ \text{no other line is closer}",
    hypotheses=("l < 0 < u", "0 ≤ α ≤ 1"),
    derivation=proof(
        *(prove_lines, prove_gaps, prove_no_closer),
        wrong=sp.Rational(99, 100),
        mistake="a chord one per cent flatter",
    ),
)

# --- linear bounds -------------------------------------------------------------------------


def prove_signed_lines(one_line: bool = False) -> None:
    """w σ(a) ≥ w times the lower line where w ≥ 0, and w times the upper line where w < 0; equal if the lines are one."""
    for_every_size("one unit after the other, whatever n and K")
    size, below, above = sp.symbols("size below above", nonnegative=True)  # |w|, and how far the lines are
    value = sp.symbols("value", real=True)
    lower, upper = value - below, value + above
    for w, line in ((size, lower), (-size, lower if one_line else upper)):
        room = sp.expand(w * value - w * line)
        prove_sign(room, "nonnegative")
        prove_zero(room.subs({below: 0, above: 0}), because="exact without a gap")


def prove_composition() -> None:
    """wᵀ(S(Wx + b) + t) = (wᵀSW)x + wᵀ(Sb + t): the row of one layer's lines is a row on the layer below it.

    So, from the last layer to the first, an affine function of the input stays below the output.
    """
    for_every_size("matrices of symbolic sizes")
    n, h = sp.symbols("n h", integer=True, positive=True)
    w, S, W = sp.MatrixSymbol("w", 1, h), sp.MatrixSymbol("S", h, h), sp.MatrixSymbol("W", h, n)
    x, b, t = sp.MatrixSymbol("x", n, 1), sp.MatrixSymbol("b", h, 1), sp.MatrixSymbol("t", h, 1)
    composed = w * (S * (W * x + b) + t)
    row, constant = w * S * W, w * S * b + w * t
    if sp.expand(composed).doit() != (row * x + constant).doit():
        raise ProofError(f"{composed} is not {row * x + constant}")


LINEAR = theorem(
    id="thm-linear-bounds",
    title="a line for each unit, by the sign of its coefficient, bounds the margin",
    printed=r"\mathbf a^T\mathbf x'+c \le z_y(\mathbf x')-z_j(\mathbf x')\le\mathbf b^T\mathbf x'+e \text{ on } S,\qquad z_y-z_j\ge\mathbf a^T\mathbf x+c-r\|\mathbf a\|_* \text{ if } S=\{\|\mathbf x'-\mathbf x\|\le r\};\quad \text{equalities if no unit can switch on } S",
    hypotheses=(
        CHAIN,
        "on S each pre-activation keeps to its bounds",
        "(a, c) and (b, e) come from the last layer's row, each unit replaced by a line below or above it",
    ),
    depends=("thm-relu-relaxation",),
    derivation=proof(
        *(prove_signed_lines, prove_composition, prove_lines, prove_cauchy_schwarz),
        wrong=True,
        mistake="the lower line whatever the sign",
    ),
)

# --- the guarantee from a local cross-Lipschitz constant ------------------------------------


def prove_guarantee(reach: int = 1) -> None:
    """Along the way to x + r the lead falls by L‖r‖ at most, and a mistake needs all of it.

    The way has finitely many pieces on which the logits are affine; there the lead's slope is (v_y − v_j)ᵀr ≥ −L‖r‖,
    by Hölder's inequality, and the pieces' shares add to one.
    """
    for_every_size("one rival after the other, whatever n and K")
    lead, room, L, length = sp.symbols("lead room L length", positive=True)
    start, middle, end = sp.symbols("start middle end", real=True)
    pieces = L * length * (middle - start) + L * length * (end - middle)
    prove_zero(pieces - L * length * (end - start), because="the pieces' shares add up")
    longest = reach * (lead - room) / L  # ‖r‖ < lead/L
    prove_sign(sp.expand(lead - L * longest), "positive")


GUARANTEE = theorem(
    id="thm-local-cross-lipschitz",
    where="new, after Hein and Andriushchenko, the paper's [10]",
    title="the guarantee from a local cross-Lipschitz constant",
    printed=r"\|\mathbf r\| < \min\Big\{R,\ \min_{j\ne y}\frac{z_y-z_j}{L_j}\Big\} \implies \mathbf x+\mathbf r \text{ keeps its class},\qquad L_j\ge\|\mathbf v_y(\mathbf x')-\mathbf v_j(\mathbf x')\|_* \text{ for all } \|\mathbf x'-\mathbf x\|\le R",
    hypotheses=(CHAIN, ARGMAX, "‖·‖_* is dual to ‖·‖; at a kink V is the one of the masks 1 and slope"),
    depends=("eq-5",),
    derivation=proof(prove_guarantee, prove_cauchy_schwarz, wrong=2, mistake="twice the radius"),
)

# --- the Lagrangian's lower bound -----------------------------------------------------------


def prove_completed_square(share: int = 4) -> None:
    """c + gᵀv + vᵀHv = c − ¼gᵀH⁻¹g + (v + ½H⁻¹g)ᵀH(v + ½H⁻¹g), one eigendirection at a time."""
    for_every_size("one eigendirection after the other, whatever n and K")
    c, g, v = sp.symbols("c g v", real=True)
    size = sp.symbols("lambda", positive=True)
    least = c - g**2 / (share * size)
    square = size * (v + g / (2 * size)) ** 2
    prove_zero(c + g * v + size * v**2 - least - square, because="completing the square")
    prove_sign(square, "nonnegative")


def prove_weak_duality() -> None:
    """At a mistake with the network's own h the Lagrangian is no more than ‖δ‖²: hn = 0, and no other term adds.

    With n = h − a, either h = a and n = 0, or h = 0 and n = −a; and h ≤ u, n ≤ −l.
    """
    for_every_size("one unit after the other, whatever n and K")
    nu = sp.symbols("nu", real=True)
    names = "output negative output_range negative_range margin further size above_h above_n depth"
    (output, negative, output_range, negative_range, margin, further, size, above_h, above_n, depth) = (
        sp.symbols(names, nonnegative=True)
    )
    for h, n in ((size, sp.S.Zero), (sp.S.Zero, size)):  # |a| is `size`; u is h + above_h, −l is n + above_n
        prove_zero(h * n)
        terms = nu * h * n - output * h - negative * n
        terms -= output_range * h * above_h + negative_range * n * above_n
        terms -= margin * depth + further  # the margin is −depth
        prove_sign(sp.expand(-terms), "nonnegative")


DUALITY = theorem(
    id="thm-quadratic-duality",
    title="any multipliers bound the squared distance from below",
    printed=r"\min_{\delta,\mathbf h}\Big\{\|\delta\|_2^2+\sum_i\big[\nu_ih_in_i-\lambda_ih_i-\kappa_in_i-\sigma_ih_i(u_i-h_i)-\varsigma_in_i(-l_i-n_i)\big]+\mu(z_y-z_j)-e\Big\} \le \|\mathbf r\|_2^2 \text{ for every mistake } \mathbf x+\mathbf r \text{ in } S,\ n_i=h_i-a_i;\quad \min_{\mathbf v}\{c+\mathbf g^T\mathbf v+\mathbf v^TH\mathbf v\}=c-\tfrac14\mathbf g^TH^{-1}\mathbf g",
    hypotheses=(
        CHAIN_OF_RELUS,
        "a_i is affine in δ and the h of the layer below, z_y − z_j in the last h",
        "for the mistakes in S l_i ≤ a_i ≤ u_i, and e ≥ 0 (further constraints, as the box of pixels)",
        "ν_i of any sign; λ_i, κ_i, σ_i, ς_i, μ ≥ 0",
        "H ≻ 0",
    ),
    derivation=proof(
        *(prove_completed_square, prove_weak_duality), wrong=2, mistake="one half in place of one quarter"
    ),
)

# --- branch and bound -----------------------------------------------------------------------


def prove_never_falls(keep_the_parent: bool = True) -> None:
    """Both children's bounds are max(own, parent's), so neither is below the parent's, and nor is the smaller of them."""
    for_every_size("bounds are numbers, whatever n and K")
    parent = sp.symbols("parent", real=True)
    change = sp.symbols("change", nonnegative=True)
    for own in (parent + change, parent - change):
        child = parent + sp.Max(0, own - parent) if keep_the_parent else own
        prove_sign(sp.simplify(child - parent), "nonnegative")


def prove_covered() -> None:
    """A point of the node is in the child where a ≤ 0 or in the one where a ≥ 0, and the minimum is below either bound."""
    for_every_size("bounds are numbers, whatever n and K")
    size, one, more = sp.symbols("size one more", nonnegative=True)
    for sign in (-1, 1):
        prove_sign(sign * (sign * size), "nonnegative")
    smaller = (one + (one + more) - more) / 2  # of the bounds `one` and `one + more`
    for bound in (one, one + more):
        prove_sign(sp.expand(bound - smaller), "nonnegative")


SEARCH = theorem(
    id="thm-branch-and-bound",
    title="the interval of branch and bound, at every instant",
    printed=r"\min_{\text{leaves}}b \le d \le \|\mathbf r\| \text{ for every known mistake } \mathbf x+\mathbf r;\quad \text{a leaf split by the sign of a unit never lowers the left side, if each child keeps } \max\{b_{\text{child}},b_{\text{leaf}}\};\quad \min b=d \text{ once every leaf is solved or has } b\ge d",
    hypotheses=(
        "d is the distance of the nearest mistake in the set that is searched",
        "a leaf's b is a lower bound for the mistakes in its part",
        "a leaf is solved if b is the distance of the nearest mistake in its part",
    ),
    depends=("thm-linear-bounds", "thm-quadratic-duality"),
    derivation=proof(
        *(prove_never_falls, prove_covered), wrong=False, mistake="children that forget their parent's bound"
    ),
)

CLAIMS = (RELAXATION, LINEAR, GUARANTEE, DUALITY, SEARCH)
