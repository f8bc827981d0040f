"""Where a regularised training step spends its time: every layer's moves, timed."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch

from regrob.bench.steps import WEIGHT
from regrob.ensembles.ensemble import Ensemble, penalty_weights
from regrob.ensembles.layers import StackedRectifier
from regrob.networks import fresh

MOVES = ("forward", "pull", "push", "round_trip", "accumulate", "descend")


def profile(
    name: str, classes: int, kinds: Sequence[str], *, members: int = 1, batch: int = 64, steps: int = 5
) -> dict[str, float]:
    """Shares of a step's time, largest first: "layer: move" → [0, 1]; the rest is "everything else".

    Args:
        name: a key of `networks.NETWORKS`.
        classes: K.
        kinds: the penalties, from `PENALTY_NAMES`.
        members: M.
        batch: images a member.
        steps: how many steps are timed, after one that is not.
    """
    weights = penalty_weights(kinds, [WEIGHT] * members)
    # One block, whose layers are the ensemble's own.
    ensemble = Ensemble(fresh(name, classes, range(members)), weights, memory=2**62)
    images = torch.rand(members, batch, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(classes, (members, batch), generator=torch.Generator().manual_seed(1))
    rate = torch.tensor(0.01)
    ensemble.step(images, labels, rate)
    spent: dict[str, float] = defaultdict(float)
    for number, layer in enumerate(ensemble.layers):
        if isinstance(layer, StackedRectifier):
            continue  # its push is its pull, and would count twice
        title = f"{number} {type(layer).__name__.removeprefix('Stacked')}"
        for move in MOVES:
            if hasattr(layer, move):
                setattr(layer, move, _timed(getattr(layer, move), f"{title}: {move}", spent))
    started = time.perf_counter()
    for _ in range(steps):
        ensemble.step(images, labels, rate)
    whole = time.perf_counter() - started
    shares = {title: seconds / whole for title, seconds in sorted(spent.items(), key=lambda item: -item[1])}
    return shares | {"everything else": 1 - sum(shares.values())}


def _timed(run: Callable[..., Any], title: str, spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*values: Any) -> Any:
        started = time.perf_counter()
        result = run(*values)
        spent[title] += time.perf_counter() - started
        return result

    return timed
