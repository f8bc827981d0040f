"""Where the numbers of a results file come from: how networks were trained, attacked, and on what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from regrob.analysis import paper_numbers, phrases
from regrob.analysis.measures import by_network, phrase_of
from regrob.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from regrob.analysis.proved import Proved

TASKS = {
    "mnist-1-7": "MNIST, 1 against 7",
    "mnist-10": "MNIST, ten digits",
    "cifar10": "CIFAR-10, ten classes",
    "cifar10-airplane-automobile": "CIFAR-10, airplane against automobile",
}
"""How a data set of the tables is written."""


def origin(table: pd.DataFrame, sidecar: dict[str, Any], network: str) -> dict[str, str]:
    """Where a network's numbers come from, each fact as a short text for the prose of a page.

    Raises:
        DataError: the results are of other networks.
    """
    if network not in sidecar["networks"]:
        raise DataError(f"no result of {network}; there are {', '.join(sidecar['networks'])}")
    budget = sidecar["networks"][network]

    def recorded(key: str) -> list[str]:
        makers = sorted(str(maker[key]) for maker in sidecar["made_by"] if maker.get(key))
        return list(dict.fromkeys(makers)) or ["not recorded"]

    def count(images: int | None) -> str:
        return "the whole test set" if images is None else f"{phrases.thousands(images)} test images"

    tried = sorted({float(w) for w in table[table["network"] == network]["lambda"]} - {0.0})
    absent = [weight for weight in paper_numbers.weights(sidecar["dataset"]) if weight not in tried]
    missing = phrases.listed(f"{weight:g}" for weight in absent)
    return {
        "preset": str(sidecar["preset"]),
        "seeds": phrases.counted(budget["seeds"], "seed"),
        "reference": phrases.thousands(budget["reference"]),
        "fine-tuning": phrases.thousands(budget["fine_tuning"]),
        "weights": ", ".join(f"{weight:g}" for weight in tried),
        "missing": missing,
        "grid": f"Of the paper's λ this leaves out {missing}." if absent else ALL_WEIGHTS,
        "batch": str(budget["batch"]),
        "images": count(budget["images"]),
        "searched-images": count(budget["searched_images"] or budget["images"]),
        "distance-images": count(budget["distance_images"]),
        "device": phrases.listed(map(phrases.device, recorded("device"))),
        "date": phrases.listed(recorded("date")),
        "commit": phrases.listed(recorded("commit")),
        "hours": f"{sidecar['seconds'] / 3600:.1f}",
    }


ALL_WEIGHTS = "These are all the λ of the paper."

PROTOCOL = {
    "seeds": "seeds",
    "reference": "steps without a penalty",
    "fine-tuning": "steps with one",
    "batch": "images in a batch",
    "weights": "λ",
    "missing": "the paper's λ that are missing",
    "images": "FGSM sees",
    "searched-images": "PGD and DeepFool see",
    "distance-images": "Carlini–Wagner sees",
}
"""Fact of `origin` → column of `protocol`."""


def protocol(table: pd.DataFrame, sidecar: dict[str, Any], classes: int | None = None) -> pd.DataFrame:
    """What `origin` says of each network's training and attacks: a row a network.

    Raises:
        DataError: the results are of other networks.
    """
    import pandas as pd

    rows = []
    for results in by_network(table, classes):
        facts = origin(table, sidecar, results.network)
        facts["seeds"] = str(sidecar["networks"][results.network]["seeds"])
        rows.append({"network": results.title} | {title: facts[fact] for fact, title in PROTOCOL.items()})
    return pd.DataFrame(rows)


def sweeps(stored: Iterable[tuple[str, pd.DataFrame, dict[str, Any]]]) -> pd.DataFrame:
    """How every network of several results files was made: a row for each.

    Args:
        stored: of each file its name, its table and its sidecar.
    """
    import pandas as pd

    parts = []
    for name, table, sidecar in stored:
        rows = protocol(table, sidecar)
        facts = [origin(table, sidecar, results.network) for results in by_network(table)]
        lost = [sum(results.diverged().values()) for results in by_network(table)]
        rows.insert(0, "results", name)
        rows.insert(1, "images", TASKS.get(sidecar["dataset"], sidecar["dataset"]))
        rows["diverged"] = [phrases.counted(count, "network") for count in lost]
        for fact in ("preset", "device", "date", "commit"):
            rows[fact] = [each[fact] for each in facts]
        rows["hours of the whole file"] = [each["hours"] for each in facts]
        parts.append(rows.drop(columns=PROTOCOL["missing"]))
    return pd.concat(parts, ignore_index=True)


def proofs(stored: Iterable[Proved]) -> list[dict[str, Any]]:
    """What made the proved distances: a row for each network and each of its makers.

    Returns:
        of each row the file, what it holds, seconds of all its proofs and trainings, and the maker's facts.
    """
    rows = []
    for each in stored:
        made: dict[str, tuple[dict[str, Any], list[dict[str, Any]], set[int]]] = {}
        for sidecar in each.sidecars:
            for item in sidecar["items"].values():
                maker = sidecar["made_by"][item["made_by"]]
                _, items, seeds = made.setdefault(repr(maker), (maker, [], set()))
                items.append(item)
                seeds.add(sidecar["settings"]["seed"])
        for maker, items, seeds in made.values():
            digits = phrases.counted(sum(item["count"] for item in items), "distance")
            what = f"{digits}, of {phrases.counted(len(seeds), 'seed')}"
            seconds = round(sum(item["seconds"] for item in items), 1)
            rows.append({"file": f"proved/{each.results.network}", "what": what, "seconds": seconds, **maker})
    return rows


def absent(table: pd.DataFrame, networks: Iterable[str]) -> str:
    """Which of these networks a table does not hold: "the VGG-like network and ResNet-32", or "none"."""
    return phrases.listed(map(phrase_of, sorted(set(networks) - set(table["network"]))))


def longest_training(sidecars: Iterable[dict[str, Any]]) -> int:
    """Iterations of the references that were trained the longest."""
    return max(int(budget["reference"]) for sidecar in sidecars for budget in sidecar["networks"].values())
