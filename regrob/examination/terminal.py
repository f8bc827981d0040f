"""The report on a terminal: tables that fit 80 columns."""

from __future__ import annotations

import io
import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from regrob.examination.certification import median_bracket
from regrob.examination.measure import HYPOTHESES, QUANTITIES

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from regrob.examination.certification import CertifiedImages
    from regrob.examination.report import Examination

BESIDE_THE_WORST = ("probability", "margin", "taylor_radius", "certified", "attacked")
"""Quantities that a list of the worst images shows beside its own."""

WITHSTANDING = ("radius", "proved safe", "no mistake known")
"""What the columns of the proofs' table say."""


def text(examination: Examination, *, width: int = 80, worst: str | None = None) -> str:
    """The report without colours; the worst images are those by this quantity, as `Examination.worst`."""
    from rich.console import Console

    stream = io.StringIO()
    show(examination, Console(file=stream, width=width, no_color=True, highlight=False), worst=worst)
    return stream.getvalue()


def show(examination: Examination, console: Console, *, worst: str | None = None) -> None:
    """Print the report; the worst images are those by this quantity, as `Examination.worst`."""
    for part in _parts(examination, worst or examination.main_quantity):
        console.print(part)


def show_certified(summary: CertifiedImages, console: Console) -> None:
    """Print what is known of each image's distance to the nearest mistake, and the medians."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for position, heading in enumerate(("image", "label", "certified", "found", "nodes", "seconds", "why")):
        table.add_column(heading, justify="left" if position in (0, 6) else "right", no_wrap=True)
    rows = summary.rows()
    for row in rows:
        table.add_row(
            str(row["image"]), str(row["label"]), number(row["certified"]), number(row["found"]),
            str(row["nodes"]), number(row["seconds"]), row["reason"],
        )  # fmt: skip
    norm = "∞" if math.isinf(summary.norm) else f"{summary.norm:g}"
    pixels = "any values" if summary.box is None else f"values from {summary.box[0]:g} to {summary.box[1]:g}"
    console.print(
        Text(f"{len(rows)} images ({summary.data.source}); ℓ{norm} distances; pixels have {pixels}.")
    )
    for notice in summary.notices:
        console.print(Text(f"! {notice}", style="yellow"))
    console.print(table)
    right = [row for row in rows if row["reason"] != "misclassified"]
    closed = sum(row["reason"] == "closed" for row in right)
    words = f"{closed} of {len(right)} intervals closed to {percent(summary.tolerance)}"
    if right:
        bracket = median_bracket(*([row[name] for row in right] for name in ("certified", "found")))
        words += "; the median distance is from {} to {}".format(*map(number, bracket))
    console.print(Text(words + "."))


def number(value: float) -> str:
    """Three digits, as the report writes numbers.

    >>> number(0.00012345), number(12345.6), number(math.inf)
    ('0.000123', '1.23e+04', '∞')
    """
    return "–" if math.isnan(value) else "∞" if math.isinf(value) else f"{value:.3g}"


def percent(share: float) -> str:
    """A share in per cent; 100 % and 0 % only where it is all or none.

    >>> percent(1.0), percent(0.9996), percent(0.5)
    ('100 %', '99.9 %', '50 %')
    """
    if math.isnan(share):
        return "–"
    rounded = 100 * share
    if 0 < share < 1:
        rounded = min(max(rounded, 0.1), 99.9)
    return f"{rounded:.3g} %"


def _parts(examination: Examination, quantity: str) -> list[RenderableType]:
    from rich import box
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    def table(*headings: str) -> Table:
        made = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
        for position, heading in enumerate(headings):
            made.add_column(heading, justify="left" if position == 0 else "right", no_wrap=True)
        return made

    def heading(words: str) -> Padding:
        return Padding(Text(words, style="bold"), (1, 0, 0, 0))

    parts: list[RenderableType] = [Text(line) for line in introduction(examination)]
    parts += [Text(f"! {notice}", style="yellow") for notice in examination.notices]

    hypotheses = table("The theory asks that an image be …", "share")
    for name, share in examination.hypotheses.items():
        hypotheses.add_row(HYPOTHESES[name], percent(share))
    parts += [heading("Where the theory applies"), hypotheses]

    quartiles = table("", "least", "25 %", "median", "75 %", "largest", "images")
    for name, distribution in examination.distributions.items():
        named = f"{QUANTITIES[name].symbol:<5} {QUANTITIES[name].name}"
        quartiles.add_row(named, *map(number, distribution[:-1]), str(distribution.images))
    parts += [heading("Quantities, lengths in pixels' units"), quartiles]

    if examination.prediction:
        parts.append(Text(prediction(examination)))

    if examination.proof:
        withstood = table(*WITHSTANDING)
        for row in examination.proof["withstanding"]:
            withstood.add_row(number(row["radius"]), percent(row["proved"]), percent(row["known"]))
        parts += [heading("What is proved"), Text(proved(examination))]
        if withstood.row_count:
            parts.append(withstood)

    penalties = table("penalty", "mean", "λ for a tenth of the loss")
    for name, weight in examination.penalties.items():
        penalties.add_row(name, number(weight.mean), number(weight.tenth))
    parts += [heading("The four penalties on these images"), penalties]

    shown = [quantity, *(name for name in BESIDE_THE_WORST if name != quantity)]
    worst = table("image", "label", *(QUANTITIES[name].symbol for name in shown))
    rows = examination.worst(quantity)
    for row in rows.to_dict(orient="records"):
        values = (number(row.get(name, math.nan)) for name in shown)
        worst.add_row(str(row["image"]), classified_as(examination, row), *values)
    parts.append(heading(worst_heading(examination, quantity)))
    if len(rows):
        parts.append(worst)
    if examination.claims:
        parts.append(
            Text(
                f"\n{len(examination.claims)} statements of the ledger speak of this network; "
                "regrob verify --network holds them against autograd."
            )
        )
    return parts


def introduction(examination: Examination) -> list[str]:
    """What the network is, in a few lines."""
    facts = examination.network
    layers = ", ".join(f"{count} {kind}" for kind, count in facts.layers.items())
    lines = [
        f"{facts.name}: {facts.parameters:,} parameters; {layers}.",
        f"{facts.inputs:,} inputs, {facts.classes} classes. Examined in {facts.dtype} "
        f"on {len(examination.table)} images ({examination.data.source}).",
        "Piecewise linear."
        if facts.obstacle is None
        else f"{facts.obstacle[0].upper()}{facts.obstacle[1:]}.",
    ]
    if examination.labelled:
        lines.append(f"Accuracy on these images: {percent(examination.accuracy)}.")
    return lines


def prediction(examination: Examination) -> str:
    """How well the local map predicts what an attack finds, in a sentence."""
    values = examination.prediction
    return (
        f"On {values['images']} attacked images the attack's distance is {values['median_ratio']:.3g} times "
        f"the margin d in the median; their rank correlation is {values['rank_correlation']:.2f}."
    )


def proved(examination: Examination) -> str:
    """What the proofs say of the true distance ρ to the nearest mistake."""
    values = examination.proof
    count, ended = values["images"], values["ended"]
    low, high = map(number, values["median"])
    where = f"is {low}" if low == high else f"is from {low} to {high}"
    if low == "∞":
        where = "is ∞ (no pixels in their range are a mistake)"
    others = ", ".join(f"{how_many} {words}" for words, how_many in ended.items() if words != "closed")
    return (
        f"The true distance ρ to the nearest mistake {where} in the median. Proof and attack meet on "
        f"{ended.get('closed', 0)} of {count} images" + (f"; the rest: {others}." if others else ".")
    )


def worst_heading(examination: Examination, quantity: str) -> str:
    """What the worst images are, in a line."""
    named = f"{QUANTITIES[quantity].name} {QUANTITIES[quantity].symbol}"
    rows = examination.worst(quantity)
    if not len(rows):
        return f"No image has a known {named}"
    extreme = "largest" if QUANTITIES[quantity].large_is_worse else "smallest"
    arrow = "" if rows["correct"].all() else "; behind → what the network says"
    return f"The {len(rows)} images with the {extreme} {named}{arrow}"


def classified_as(examination: Examination, row: dict[Hashable, Any]) -> str:
    """The class of an image, and behind an arrow what the network takes it for, if that is another."""
    own, predicted = label(examination, row["label"]), label(examination, row["prediction"])
    return own if row["correct"] else f"{own} → {predicted}"


def label(examination: Examination, number_of_class: int) -> str:
    """The name of a class, or its number."""
    classes = examination.data.classes
    return classes[number_of_class] if number_of_class < len(classes) else str(number_of_class)
