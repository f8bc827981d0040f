"""Experiments: what a figure needs, sweeps that survive a kill, and what a page trains while it is built.

`grid` says what is computed and how much; `sweep` computes and stores it, on the workers of
`backends`, with the files of `checkpoint`; `paper_runs` does so at the paper's own scale, and
`parcels` carries a sweep from one machine to another. `in_memory` is the sweep of a page;
`one_network` and `two_arcs` train a single network for one, `finite_differences` and `along_line`
follow a network away from an image.
`predictions` holds the theory's lengths against those of attacks; `reproduction` asks why our
numbers differ from the paper's. Importing this package loads none of them.
"""

from typing import TYPE_CHECKING

from regrob import lazily

if TYPE_CHECKING:
    from regrob.experiments.grid import (
        ADVERSARIAL,
        FIGURES,
        PRESETS,
        Budget,
        Preset,
        Shard,
        budget,
        preset,
        shards,
    )
    from regrob.experiments.in_memory import attacked, fine_tuned, references
    from regrob.experiments.sweep import Workers

__all__ = [
    "ADVERSARIAL", "FIGURES", "PRESETS", "Budget", "Preset", "Shard", "Workers", "attacked", "budget",
    "fine_tuned", "preset", "references", "shards",
]  # fmt: skip

__getattr__ = lazily(
    __name__,
    {
        "grid": (
            "ADVERSARIAL",
            "FIGURES",
            "PRESETS",
            "Budget",
            "Preset",
            "Shard",
            "budget",
            "preset",
            "shards",
        ),
        "in_memory": ("attacked", "fine_tuned", "references"),
        "sweep": ("Workers",),
    },
)
