"""Lines below and above a bend, where its operands are known to stay between bounds.

Of a ReLU on [l, u] with l < 0 < u the upper line is the chord, and every line through the corner with a slope
from 0 to 1 is a lower one: the triangle. A clamp has two such corners. Of a maximum the entry that is
largest at the image is a lower line; max_e t_e = t_c + max_e relu(t_e − t_c) gives an upper one, from the
bounds on the leads t_e − t_c.

All lines hold in exact arithmetic: a chord's height is taken from both of its ends, with the slope as it was
rounded, and every gap is widened by the roundings of its own computation, and by the error of the operand.
"""

from __future__ import annotations

import torch
from torch import Tensor

from regrob.affine.rectified import Clamped, Largest, Lines
from regrob.certificates.rounded import UNIT, accumulated


def clamped_lines(
    kind: Clamped, lower: Tensor, upper: Tensor, at: Tensor, error: Tensor, share: Tensor | None = None
) -> Lines:
    """Lines for y = base t + gain clamp(t, low, high), l ≤ t ≤ u.

    Args:
        lower, upper: l and u, (N, M).
        at: t at the image, (N, M).
        error: by how much a computed t may differ from t, in all that is pulled back from it: (N, M).
        share: (N, M), from 0 to 1: the slope at a corner as a share of the steepest, where the slope is free.
            None takes 0 or 1, whichever has the smaller gap.

    >>> relu = Clamped(*torch.tensor([[0.0], [1.0], [0.0], [torch.inf]]).double())
    >>> l, u, t = (torch.tensor([[value]]).double() for value in (-1.0, 3.0, 0.0))
    >>> lines = clamped_lines(relu, l, u, t, torch.zeros(1, 1).double())
    >>> lines.lower_slope.item(), lines.upper_slope.item(), round(lines.upper_gap.item(), 6)
    (1.0, 0.75, 0.75)
    """
    low, high = kind.low, kind.high
    least, most, here = (t.clamp(low, high) for t in (lower, upper, at))
    inside = ((lower >= low) & (lower <= high)).to(lower)
    chord = torch.where(upper > lower, (most - least) / (upper - lower), inside).clamp(0.0, 1.0)
    convex, concave = (lower < low) & (upper > low), (lower < high) & (upper > high)
    steepest_below = torch.where(convex, (most - low) / (upper - low), chord).clamp(0.0, 1.0)
    steepest_above = torch.where(concave, (high - least) / (high - lower), chord).clamp(0.0, 1.0)
    below_share = (upper - low >= low - lower).to(lower) if share is None else share
    above_share = (high - lower >= upper - high).to(lower) if share is None else share
    below = torch.where(convex, below_share * steepest_below, chord)
    above = torch.where(concave, above_share * steepest_above, chord)
    corner_below, corner_above = (torch.maximum(lower, low), torch.minimum(upper, high))
    corner_below, corner_above = (
        torch.minimum(corner_below, upper),
        torch.maximum(corner_above, lower),
    )
    # clamp(t) − s t falls, rises and falls again: its least and its greatest value are at these places
    height_below = torch.minimum(corner_below.clamp(low, high) - below * corner_below, most - below * upper)
    height_above = torch.maximum(corner_above.clamp(low, high) - above * corner_above, least - above * lower)
    gap_below = (below * at + height_below - here) * kind.gain
    gap_above = (above * at + height_above - here) * kind.gain
    slope_below, slope_above = kind.base + kind.gain * below, kind.base + kind.gain * above
    swap = kind.gain < 0
    size = torch.maximum(torch.maximum(lower.abs(), upper.abs()), at.abs())
    size = size + torch.maximum(torch.maximum(least.abs(), most.abs()), here.abs())
    rounding = 16 * UNIT * size * (kind.base.abs() + kind.gain.abs())
    return _widened(
        Lines(
            torch.where(swap, slope_above, slope_below),
            torch.where(swap, slope_below, slope_above),
            torch.where(swap, gap_above, gap_below),
            torch.where(swap, gap_below, gap_above),
        ),
        error,
        rounding,
        1,
    )


def largest_lines(
    kind: Largest,
    lower: Tensor,
    upper: Tensor,
    lead_lower: Tensor,
    lead_upper: Tensor,
    at: Tensor,
    error: Tensor,
) -> Lines:
    """Lines for y = sign · max_e φ_e with φ = sign · t, all entries (N, M) side by side.

    Args:
        lower, upper: of φ.
        lead_lower, lead_upper: of φ_e − φ_c, where c is the entry that is largest at the image.
        at: φ at the image.
        error: as of `clamped_lines`.

    >>> l, u, t = torch.tensor([[[0.0, -1.0]], [[2.0, 1.0]], [[1.0, 0.0]]]).double()
    >>> lines = largest_lines(Largest(2, 1), l, u, l - u[:, :1], u - l[:, :1], t, torch.zeros(1, 2).double())
    >>> lines.upper_slope  # the second entry leads by −3 to 1
    tensor([[0.7500, 0.2500]], dtype=torch.float64)
    """
    windows = (-1, kind.entries)
    low, high, below, above, here = (
        t.unflatten(1, windows) for t in (lower, upper, lead_lower, lead_upper, at)
    )
    greatest = here.amax(dim=-1)
    chosen = torch.zeros_like(here).scatter(-1, here.argmax(dim=-1, keepdim=True), 1.0)
    below, above = (torch.where(chosen > 0, 0.0, t) for t in (below, above))
    rise = torch.where(above > below, above.clamp_min(0.0) / (above - below.clamp_max(0.0)), 0.0)
    rise = torch.where(above > 0, rise.clamp(0.0, 1.0), 0.0)
    height = torch.maximum(below.clamp_min(0.0) - rise * below, above.clamp_min(0.0) - rise * above)
    lead = here - greatest[..., None]
    gap = (rise * lead + height).sum(dim=-1)
    slope = rise + chosen * (1 - rise.sum(dim=-1, keepdim=True))
    flat = high.amax(dim=-1) - greatest
    use_flat = flat < gap
    gap = torch.where(use_flat, flat, gap)
    slope = torch.where(use_flat[..., None], 0.0, slope)
    size = torch.maximum(torch.maximum(low.abs(), high.abs()), here.abs()).amax(dim=-1)
    size = size + torch.maximum(below.abs(), above.abs()).amax(dim=-1)
    slopes, gaps = (chosen.flatten(1), slope.flatten(1)), (torch.zeros_like(gap), gap)
    if kind.sign < 0:  # y = −max φ, and what is a slope of φ there is one of t
        slopes, gaps = slopes[::-1], (-gap, torch.zeros_like(gap))
    return _widened(Lines(*slopes, *gaps), error, 16 * UNIT * kind.entries * size, kind.entries)


def _widened(lines: Lines, error: Tensor, rounding: Tensor, entries: int) -> Lines:
    """The gaps with the errors of their operands, of their own roundings, and of summing them up."""
    summed = accumulated(4 * (lines.lower_gap.shape[1] + 64))

    def wide(slope: Tensor, gap: Tensor) -> Tensor:
        own: Tensor = (slope.abs() * error).unflatten(1, (-1, entries)).sum(dim=-1)
        return own + rounding + summed * gap.abs()

    return lines._replace(
        lower_gap=lines.lower_gap - wide(lines.lower_slope, lines.lower_gap),
        upper_gap=lines.upper_gap + wide(lines.upper_slope, lines.upper_gap),
    )
