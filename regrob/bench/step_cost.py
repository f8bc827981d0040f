"""What one training step costs: multiplications, time and memory of each method.

A method is no penalty, one of the four, or training on PGD's images. Each is taken as this
package trains (`ensembles`) and as one writes it with autograd (`bench.steps`).
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from regrob.analysis.measures import ADVERSARIAL
from regrob.analysis.words import FAILED, HELD, UNDECIDED
from regrob.bench import steps
from regrob.bench.harness import by_turns, median_ratio
from regrob.ensembles import multiplications
from regrob.errors import InputError
from regrob.theory.penalties import PENALTY_NAMES
from regrob.training.adversarial import Adversary

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("none", *PENALTY_NAMES, ADVERSARIAL)
STEPS = 10
"""Of PGD, in one training step."""

IN_A_ROW = 4
"""Steps that are timed as one, so that caches are as warm as in training."""


def relative_multiplications(method: str, widths: Sequence[int], examples: int) -> float:
    """Multiplications of numbers in our step of a perceptron of widths n, …, K, over a plain step's.

    Raises:
        InputError: an unknown method.
    """
    _check(method)
    base = multiplications.plain_step(widths, examples)
    if method == ADVERSARIAL:
        products = multiplications.adversarial_step(widths, examples, STEPS)
    elif method == "none":
        products = base
    else:
        products = multiplications.penalised_step(widths, examples, *_rows_and_columns(method, widths[-1]))
    return multiplications.count(products) / multiplications.count(base)


def our_step(method: str, network: str, classes: int) -> steps.TrainingStep:
    """A step of `Ensemble` with one member, on a batch of random pictures.

    Raises:
        InputError: an unknown method.
    """
    _check(method)
    if method == ADVERSARIAL:
        return steps.fused_step(network, classes, (), adversary=Adversary(steps.EPSILON, STEPS))
    return steps.fused_step(network, classes, () if method == "none" else (method,))


def their_step(method: str, network: str, classes: int) -> steps.TrainingStep:
    """The same step by autograd, differentiated twice where there is a penalty; as lean as can be.

    Raises:
        InputError: an unknown method.
    """
    _check(method)
    special: dict[str, steps.Objective] = {"none": steps.plain, ADVERSARIAL: steps.under_attack}
    return steps.lean_step(network, classes, special.get(method) or steps.double_backward((method,)))


SIDES: dict[str, Callable[[str, str, int], steps.TrainingStep]] = {"ours": our_step, "autograd": their_step}


def times(network: str, classes: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Processor's seconds of a step, side → method → one number a round.

    All take turns in one process, `IN_A_ROW` steps a turn: the quotient of two of them, round
    by round, suffers little from a busy neighbour.

    Each method has its turn once a round, and in one round before that does not count.
    """
    contenders = {
        f"{side} {method}": steps.repeat(build(method, network, classes), IN_A_ROW)
        for side, build in SIDES.items()
        for method in METHODS
    }
    seconds = by_turns(contenders, rounds, time.process_time)
    return {
        side: {method: [taken / IN_A_ROW for taken in seconds[f"{side} {method}"]] for method in METHODS}
        for side in SIDES
    }


def slowdowns(seconds: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, float]]:
    """Side → method → its time over the plain step's of that side, the median over rounds of `times`."""
    return {
        side: {method: median_ratio(taken, method, "none") for method in taken}
        for side, taken in seconds.items()
    }


def dearest_over_adversarial(taken: Mapping[str, Sequence[float]]) -> list[float]:
    """Time of the dearest penalty's step over adversarial training's, for each round of one side."""
    rounds = zip(*(taken[penalty] for penalty in PENALTY_NAMES), taken[ADVERSARIAL], strict=True)
    return [max(penalties) / adversarial for *penalties, adversarial in rounds]


def dearest_against_adversarial(
    seconds: Mapping[int, Mapping[str, Mapping[str, Sequence[float]]]],
) -> dict[str, str]:
    """Whether the dearest penalty's step takes less time than adversarial training's.

    Args:
        seconds: K → `times` with K classes.

    Returns:
        "over-K-SIDE" → the range of `dearest_over_adversarial` over the rounds, "0.30 to 0.37"; and
        "mark-K-SIDE" → ✅ if it is below 1 in every round, ❌ if it is above 1 in every round, else ❔.
    """
    facts = {}
    for classes, sides in seconds.items():
        for side, taken in sides.items():
            over = dearest_over_adversarial(taken)
            low, high = min(over), max(over)
            facts[f"over-{classes}-{side}"] = f"{low:.2f} to {high:.2f}"
            facts[f"mark-{classes}-{side}"] = HELD if high < 1 else FAILED if low > 1 else UNDECIDED
    return facts


def stored_rows(outcomes: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of the stored benchmark (`harness.Benchmark.judge`) that time a step, as texts.

    Beside the median and its spread stand those facts that are times over a plain step's.
    """
    import pandas as pd

    rows = []
    for outcome in outcomes:
        if outcome["skipped"] or not outcome["id"].startswith(("step-", "adversarial-", "jacobian-")):
            continue
        low, high = outcome["spread"]
        beside = [
            f"{fact}: {value:.2f}"
            for fact, value in outcome["facts"].items()
            if fact.endswith("/ plain") and "products" not in fact
        ]
        median = f"{outcome['median']:.2f} [{low:.2f}, {high:.2f}]"
        rows.append((outcome["row"], median, "; ".join(beside)))
    return pd.DataFrame(rows, columns=["what is timed / what it is divided by", "ratio", "beside it"])


def mebibytes(network: str, widths: Sequence[int], examples: int) -> dict[str, dict[str, float]]:
    """Memory of each method's step: "shapes" → `image_bytes`, and each side → `peak_bytes`, in MiB.

    Args:
        network: a key of `networks.NETWORKS`.
        widths: n, the hidden widths, K of this network.
        examples: N, as many as the steps take.
    """
    shapes = {method: image_bytes(method, widths, examples) for method in METHODS}
    peaks = {
        side: {method: peak_bytes(build(method, network, widths[-1])) for method in METHODS}
        for side, build in SIDES.items()
    }
    held = {"shapes": shapes, **peaks}
    return {name: {method: size / 2**20 for method, size in sizes.items()} for name, sizes in held.items()}


def peak_bytes(step: steps.TrainingStep) -> int:
    """The most bytes that a step holds at once, beyond what was there before it.

    Counted is all that torch's allocator hands out on the CPU, temporaries inside of its
    operations and gradients included. Parameters, momenta and the batch were there before;
    buffers of the libraries that multiply matrices are not torch's.

    Args:
        step: fresh, not run before: only then is every block's birth seen with its death.
    """
    # The profiler says on the error stream that it starts and stops, unless told otherwise.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    collecting = gc.isenabled()
    gc.disable()  # what others left behind must not be freed meanwhile
    try:
        with torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
        ) as seen:
            step()
            step()
    finally:
        if collecting:
            gc.enable()
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = highest = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        highest = max(highest, held)
    return highest


def image_bytes(method: str, widths: Sequence[int], examples: int) -> int:
    """Bytes of the arrays as large as images that our step must hold at once: a floor of `peak_bytes`.

    A penalty whose r rows travel to the image holds these rows, which are V or span it, the
    tangents that its gradient sends forward, and what the first layer's gradient is made of:
    3·N·r·n numbers. PGD holds its image, two bounds, the gradient and the gradient's sign:
    5·N·n, whatever K is and however many steps it takes. Where WᵀW is cheaper
    (`ensembles.multiplications`) the rows stop above the first layer of a multilayer
    perceptron: 0, as for a plain step.

    Raises:
        InputError: an unknown method.
    """
    _check(method)
    n, h, classes = widths[0], widths[1], widths[-1]
    image = examples * n * torch.finfo(torch.float32).bits // 8
    if method == ADVERSARIAL:
        return 5 * image
    rows, f = _rows_and_columns(method, classes)
    if method == "none" or multiplications.square_pays(n, h, examples, rows, f):
        return 0
    return 3 * rows * image


def _rows_and_columns(method: str, classes: int) -> tuple[int, int]:
    kinds = () if method == "none" else (method,)
    return multiplications.pulled_back(kinds, classes), multiplications.columns(kinds, classes)


def _check(method: str) -> None:
    if method not in METHODS:
        raise InputError(f"no method is called {method!r}; there are {', '.join(METHODS)}")
