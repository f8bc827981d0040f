"""The semidefinite dual of a node of the search: its signs and its half-space; started from its parent's."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from regrob.certificates.dense_network import Bounds, Caps, Surroundings
from regrob.certificates.local_network import local_network
from regrob.certificates.semidefinite import Multipliers, inherited, semidefinite_bound

COARSE, FINE = 0.01, 1e-3
"""How near the squared distance must come to the best one, relatively: without a goal, and with one."""

Name = tuple[int, int]
"""A unit: its layer, and its place in it."""


class NodeDual(NamedTuple):
    """What the dual says of a node.

    Attributes:
        distance: no mistake of the node is nearer; from the ball's radius on, there is none in the ball.
        step: δ (n,), where the Lagrangian is least.
        violation: how far each open unit is there from being a ReLU.
        start: multipliers from which duals of parts of the node may begin.
        constraints: what the multipliers of constraints belong to: "margin", signs that are given, "cap".
    """

    distance: float
    step: Tensor
    violation: dict[Name, float]
    start: Multipliers
    constraints: tuple[object, ...]


def node_dual(
    around: Surroundings,
    box: tuple[float, float] | None,
    rival: int,
    radius: float,
    bounds: Bounds,
    given: dict[Name, bool],
    cap: Caps | None,
    goal: float | None,
    parent: NodeDual | None = None,
    late: Callable[[], bool] = lambda: False,
) -> NodeDual:
    """Bound the distance to the mistakes of one node.

    Args:
        around, box: the image, its network and its box.
        rival: the class of the mistakes.
        radius: of the ball on which bounds and cap hold.
        bounds: one row, on all units.
        given: signs of units by the node's definition; True for on.
        cap: one row; None if there is none.
        goal: a distance that is enough, and less than which is no use; None: the ball's radius, or as much of
            it as there is.
        parent: of a node that this one is a part of.
        late: asked now and then whether to stop.
    """
    half_space = None if cap is None else (cap.g, cap.h)
    local = local_network(
        around.layers, around.x, [row[0] for row in bounds.lower], [row[0] for row in bounds.upper],
        label=around.label, rival=rival, radius=radius, box=box, splits=given, half_spaces=half_space,
    )  # fmt: skip
    constraints: tuple[object, ...] = ("margin", *sorted(given), *(() if cap is None else ("cap",)))
    start = None if parent is None else _inherited(parent, local.names, constraints)
    tolerance = COARSE if goal is None else FINE
    bound = semidefinite_bound(local, start=start, goal=goal, tolerance=tolerance, late=late)
    violation = dict(zip(local.names, bound.violation.tolist(), strict=True))
    return NodeDual(bound.distance, torch.from_numpy(bound.step), violation, bound.centre, constraints)


def _inherited(
    parent: NodeDual, names: tuple[Name, ...], constraints: tuple[object, ...]
) -> Multipliers | None:
    """The parent's multipliers of the units and constraints that are left; None if some unit is new."""
    place = {name: i for i, name in enumerate(parent.violation)}
    if not all(name in place for name in names):
        return None
    known = {constraint: i for i, constraint in enumerate(parent.constraints)}
    return inherited(parent.start, [place[name] for name in names], [known.get(name) for name in constraints])
