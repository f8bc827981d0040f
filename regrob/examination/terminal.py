"""The report on a terminal: tables that fit 80 columns."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from regrob.examination.measure import HYPOTHESES, QUANTITIES

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from regrob.examination.report import Examination


def text(examination: Examination, *, width: int = 80) -> str:
    """The report without colours."""
    from rich.console import Console

    stream = io.StringIO()
    show(examination, Console(file=stream, width=width, no_color=True, highlight=False))
    return stream.getvalue()


def show(examination: Examination, console: Console) -> None:
    """Print the report."""
    for part in _parts(examination):
        console.print(part)


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


def _parts(examination: Examination) -> list[RenderableType]:
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
    for name, values in examination.distributions.items():
        quantity = QUANTITIES[name]
        quartiles.add_row(
            f"{quantity.symbol:<5} {quantity.name}", *map(number, values[:-1]), str(values.images)
        )
    parts += [heading("Quantities, lengths in pixels' units"), quartiles]

    if examination.prediction:
        parts.append(Text(prediction(examination)))

    penalties = table("penalty", "mean", "λ for a tenth of the loss")
    for name, weight in examination.penalties.items():
        penalties.add_row(name, number(weight.mean), number(weight.tenth))
    parts += [heading("The four penalties on these images"), penalties]

    if "margin" in examination.table and examination.table["margin"].notna().any():
        worst = table("image", "label", "p_y", "d", "‖r*‖₂", "attacked")
        rows = examination.worst()
        for row in rows.to_dict(orient="records"):
            lengths = (row["probability"], row["margin"], row["taylor_radius"], row.get("attacked", math.nan))
            worst.add_row(str(row["image"]), label(examination, row["label"]), *map(number, lengths))
        parts += [heading(f"The {len(rows)} correct images with the smallest margin"), worst]
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
        "Piecewise linear." if facts.piecewise_linear else f"Not piecewise linear: {facts.obstacle}.",
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


def label(examination: Examination, number_of_class: int) -> str:
    """The name of a class, or its number."""
    classes = examination.data.classes
    return classes[number_of_class] if number_of_class < len(classes) else str(number_of_class)
