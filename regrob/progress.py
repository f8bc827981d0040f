"""Bars for what takes a while: shown where a caller asks, or where the environment says REGROB_PROGRESS=1.

The first cell of a reader's notebook says so. Tests and the book's build do not, so nothing is
printed there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

VARIABLE = "REGROB_PROGRESS"
PATIENCE = 1.0
"""Seconds that a bar waits before it appears; what ends sooner needs none."""


def bar(
    steps: Iterable[Any] | None = None,
    *,
    title: str,
    total: int | None = None,
    unit: str = "it",
    show: bool = False,
) -> Any:
    """A tqdm bar: loop over it in place of `steps`, or call its `update`.

    Args:
        steps: what to count; None if the caller counts by `update`.
        title: a few words beside the bar.
        total: how many steps there are, where `steps` has no length.
        unit: what one step is called.
        show: show it, and leave it standing at the end. Otherwise the environment decides, and a
            bar disappears when it is full.

    >>> list(bar([1, 2], title="two"))
    [1, 2]
    """
    asked = os.environ.get(VARIABLE) == "1"
    if steps is not None and not (show or asked):
        return steps
    from tqdm.auto import tqdm

    return tqdm(
        steps,
        total=total,
        desc=title,
        unit=unit,
        disable=not (show or asked),
        leave=show,
        delay=0.0 if show else PATIENCE,
    )
