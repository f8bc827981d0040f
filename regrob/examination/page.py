"""The report as one self-contained page in the book's look, light and dark; and as a notebook's output."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from regrob.examination.measure import HYPOTHESES, QUANTITIES
from regrob.examination.terminal import (
    BESIDE_THE_WORST,
    WITHSTANDING,
    classified_as,
    introduction,
    number,
    percent,
    prediction,
    proved,
    worst_heading,
)
from regrob.figures.theme import LENGTHS, style
from regrob.figures.true_distance import PROVED

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from regrob.examination.report import Examination

_STYLE = """
.regrob-report { --ink: light-dark(#1c1f23, #e6e8eb);
  --ground: light-dark(#fff, #14181e); --faint: light-dark(#5a626c, #a3adb8);
  --line: light-dark(#d6dae0, #39414b); --warn: light-dark(#8a4b00, #f0c05a);
  color: var(--ink); background: var(--ground); font: 16px/1.5 system-ui, sans-serif; }
.regrob-report .title { font-weight: 700; font-size: 1.6rem; line-height: 1.2; overflow-wrap: anywhere; }
.regrob-report .heading { font-weight: 700; font-size: 1.2rem; line-height: 1.3; margin: 2rem 0 .5rem; }
.regrob-report p, .regrob-report li { max-width: 70ch; }
.regrob-report .faint, .regrob-report figcaption { color: var(--faint); font-size: .9rem; }
.regrob-report .notices { border-left: 4px solid var(--warn); padding: .1rem 1rem; margin: 1rem 0; }
.regrob-report .scroll { overflow-x: auto; }
.regrob-report table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem; }
.regrob-report :is(th, td) { padding: .3rem .45rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line);
  background: none; color: inherit; }
.regrob-report :is(th, td):first-child { text-align: left; position: sticky; left: 0;
  background: var(--ground); }
.regrob-report tbody th { font-weight: 500; white-space: normal;
  min-width: 9rem; max-width: max(9rem, 45vw); }
.regrob-report table:not(:has(td:nth-child(4))) tbody th { min-width: 0; }
.regrob-report tbody th small { display: block; white-space: normal; color: var(--faint);
  font-weight: 400; max-width: 38ch; }
.regrob-report figure { margin: 1rem 0; }
.regrob-report svg { max-width: 100%; height: auto; }
.regrob-report ol.worst { list-style: none; padding: 0; display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); }
.regrob-report ol.worst img { display: block; width: 100%; max-width: 8rem; image-rendering: pixelated;
  border: 1px solid var(--line); }
.regrob-report ol.worst li { font-size: .85rem; line-height: 1.35; overflow-wrap: anywhere; }
.regrob-report ol.worst span { white-space: nowrap; }
.regrob-report select { font: inherit; color: inherit; background: var(--ground);
  border: 1px solid var(--line); border-radius: 4px; padding: .25rem .4rem; max-width: 100%; }
.regrob-report summary { cursor: pointer; padding: .4rem 0; }
"""

# Without scripts, which a notebook may not run; a browser that knows no :has() shows all lists.
_STYLE += (
    "@supports selector(:has(a)) { .regrob-report .choice > section { display: none; } }\n"
    + ",\n".join(
        f".regrob-report .choice:has(option:nth-child({k}):checked) > section:nth-of-type({k})"
        for k in range(1, len(QUANTITIES) + 1)
    )
    + " { display: block; }\n"
)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>html {{ color-scheme: light dark; background: light-dark(#fff, #14181e); }}
body {{ margin: 0 auto; max-width: 60rem; padding: 1rem; }}
@media print {{ details > * {{ display: block; }} figure, li {{ break-inside: avoid; }} }}</style></head>
<body>{body}</body></html>
"""


def page(examination: Examination) -> str:
    """One page that loads nothing from outside."""
    title = f"{examination.network.name} on {examination.data.source}"
    return _PAGE.format(title=html.escape(title), body=fragment(examination, level=1))


def fragment(examination: Examination, *, level: int = 3) -> str:
    """The report as a piece of HTML with a style of its own; its title is a heading of this level."""
    parts = [
        f"<style>{_STYLE}</style>",
        f'<h1 class="title">{_text(examination.network.name)}</h1>',
        f"<p>{'<br>'.join(map(_text, introduction(examination)))}</p>",
        _notices(examination.notices),
        _hypotheses(examination),
        _distributions(examination),
        _lengths(examination),
        _scatter(examination),
        _proof(examination),
        _penalties(examination),
        _worst(examination),
        _claims(examination),
        f'<p class="faint">Made by regrob in {examination.seconds:.0f} s.</p>',
    ]
    body = re.sub(r"(</?h)([12])", lambda tag: f"{tag[1]}{int(tag[2]) + level - 1}", "".join(parts))
    return f'<article class="regrob-report">{body}</article>'


# --- tables ----------------------------------------------------------------------------


def _text(words: object) -> str:
    return html.escape(str(words))


def _heading(words: str) -> str:
    return f'<h2 class="heading">{_text(words)}</h2>'


def _table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of HTML cells below a caption; the first cell is the row's heading."""
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    caption = f"<caption>{_text(caption)}</caption>"
    table = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll" tabindex="0">{table}</div>'


def _notices(notices: Sequence[str]) -> str:
    if not notices:
        return ""
    items = "".join(f"<li>{_text(notice[0].upper() + notice[1:])}.</li>" for notice in notices)
    return f'<div class="notices"><p><strong>Before you trust a number</strong></p><ul>{items}</ul></div>'


def _hypotheses(examination: Examination) -> str:
    rows = [[_text(HYPOTHESES[name]), percent(share)] for name, share in examination.hypotheses.items()]
    return (
        _heading("Where the theory applies")
        + "<p>Each statement of the book asks some of these of an image.</p>"
        + _table("Share of the images that meet each hypothesis", ["Hypothesis", "images"], rows)
    )


def _distributions(examination: Examination) -> str:
    rows = []
    for name, values in examination.distributions.items():
        quantity = QUANTITIES[name]
        heading = f"{_text(quantity.symbol)} · {_text(quantity.name)}<small>{_text(quantity.words)}</small>"
        rows.append([heading, *map(number, values[:-1]), str(values.images)])
    lengths = "<p>From the Taylor radius on they are lengths, in the units of a pixel.</p>"
    return (
        _heading("Quantities")
        + (lengths if "taylor_radius" in examination.distributions else "")
        + _table(
            "Quantities of the local map over the images",
            ["Quantity", "least", "25 %", "median", "75 %", "largest", "images"],
            rows,
        )
    )


def _proof(examination: Examination) -> str:
    if not examination.proof:
        return ""
    rows = [
        [number(row["radius"]), percent(row["proved"]), percent(row["known"])]
        for row in examination.proof["withstanding"]
    ]
    return (
        _heading("What is proved")
        + f"<p>{_text(proved(examination))}</p>"
        + (
            _table("Share of the images without a mistake within the radius", WITHSTANDING, rows)
            if rows
            else ""
        )
    )


def _penalties(examination: Examination) -> str:
    rows = [[name, number(w.mean), number(w.tenth)] for name, w in examination.penalties.items()]
    return (
        _heading("The four penalties") + "<p>The last column is the λ at which λ times the penalty's mean "
        "is a tenth of the mean loss on these images.</p>"
        + _table("The penalties on these images", ["Penalty", "mean", "λ"], rows)
    )


def _claims(examination: Examination) -> str:
    if not examination.claims:
        return ""
    rows = [
        [
            f"{_text(s.title)}<small>{_text(s.where)}; {_text(s.id)}"
            f"{'; also assumed: ' + _text('; '.join(s.also)) if s.also else ''}</small>",
            _text(s.verdict),
            percent(s.share),
        ]
        for s in examination.claims
    ]
    return (
        _heading("What the ledger says of such a network")
        + f"<details><summary>{len(rows)} statements whose "
        "hypotheses on the network are met, and the share of the images that meet the others</summary>"
        + _table("Statements of the book, tried on this network", ["Statement", "verdict", "images"], rows)
        + "<p>regrob verify --network holds their closed forms against autograd.</p></details>"
    )


# --- pictures --------------------------------------------------------------------------


def _worst(examination: Examination) -> str:
    """The worst images by each quantity, of which a choice shows one."""
    quantities = list(examination.distributions)
    options = "".join(
        f"<option{' selected' if name == examination.main_quantity else ''}>"
        f"{_text(QUANTITIES[name].name)} {_text(QUANTITIES[name].symbol)}</option>"
        for name in quantities
    )
    lists = "".join(_worst_by(examination, name) for name in quantities)
    return (
        _heading("Worst images")
        + f'<div class="choice"><label>Sorted by <select>{options}</select></label>{lists}</div>'
    )


def _worst_by(examination: Examination, quantity: str) -> str:
    rows = examination.worst(quantity)
    items = []
    for position, row in zip(rows.index, rows.to_dict(orient="records"), strict=True):
        beside = [
            name for name in BESIDE_THE_WORST if name != quantity and not math.isnan(row.get(name, math.nan))
        ]
        own, *others = (
            f"<span>{_text(QUANTITIES[n].symbol)} {number(row[n])}</span>" for n in (quantity, *beside)
        )
        items.append(
            f"<li>{_thumbnail(examination.data.images[position], str(row['image']))}"
            f"{_text(row['image'])}: {_text(classified_as(examination, row))}<br>"
            f"<strong>{own}</strong><br>{', '.join(others)}</li>"
        )
    heading = worst_heading(examination, quantity)
    return f'<section><p>{_text(heading)}.</p><ol class="worst">{"".join(items)}</ol></section>'


def _thumbnail(image: Tensor, name: str) -> str:
    """A picture of an image, stretched to its own range; nothing where it is no picture."""
    from PIL import Image

    if image.ndim != 3 or image.shape[0] not in (1, 3):
        return ""
    pixels = image.detach().cpu().float().numpy()
    low, high = min(0.0, float(pixels.min())), max(1.0, float(pixels.max()))
    levels = np.round(255 * (pixels - low) / (high - low)).astype(np.uint8)
    picture = Image.fromarray(levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0))
    picture.thumbnail((128, 128))
    stream = io.BytesIO()
    picture.save(stream, "png", optimize=True)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{_text(name)}" src="data:image/png;base64,{data}">'


def _lengths(examination: Examination) -> str:
    """How the lengths compare: their distributions, one under the other on one logarithmic axis."""
    import matplotlib.pyplot as plt

    table = examination.table
    looks = {
        "edge": LENGTHS["edge"], "certified": PROVED["certified"], "margin": LENGTHS["margin"],
        "taylor_radius": LENGTHS["radius"], "attacked": LENGTHS["found"],
    }  # fmt: skip
    values = {name: table[name].to_numpy(float) for name in looks if name in table}
    values = {name: v[np.isfinite(v) & (v > 0)] for name, v in values.items()}
    values = {name: v for name, v in values.items() if len(v) > 1}
    if not values:
        return ""
    with style():
        figure, axes = plt.subplots(figsize=(5.2, 0.6 * len(values) + 1))
        for height, (name, lengths) in enumerate(values.items()):
            look = looks[name]
            axes.plot(
                lengths, np.full(len(lengths), height), "|", color=look.colour, markersize=14, alpha=0.5
            )
            axes.plot(np.median(lengths), height, "|", color=look.colour, markersize=26, markeredgewidth=3.5)
        axes.set(
            xscale="log", xlabel="distance from the image, in pixels' units", ylim=(len(values) - 0.4, -0.6)
        )
        axes.set_yticks(range(len(values)), [f"{QUANTITIES[n].name} {QUANTITIES[n].symbol}" for n in values])
        axes.grid(axis="y", visible=False)
    medians = ", ".join(f"{QUANTITIES[n].name} {number(float(np.median(v)))}" for n, v in values.items())
    return _heading("How far is far?") + _figure(
        figure,
        f"Distances on a logarithmic axis; medians: {medians}.",
        "A thin stroke for each image; the thick one is their median.",
    )


def _scatter(examination: Examination) -> str:
    """The attack's distance against the margin, for each attacked image."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator

    if not examination.prediction:
        return ""
    both = examination.table[["margin", "attacked"]].dropna()
    look = LENGTHS["found"]
    with style():
        figure, axes = plt.subplots(figsize=(4.6, 4.2))
        axes.plot(both["margin"], both["attacked"], look.marker, color=LENGTHS["margin"].colour)
        low, high = float(both.min().min()), float(both.max().max())
        axes.plot([low, high], [low, high], "--", color="black", linewidth=1.2)
        axes.set(
            xlabel="margin d of the local map", ylabel="distance of the attack", xscale="log", yscale="log"
        )
        subs = (1.0, 2.0, 5.0) if high < 30 * low else (1.0,)  # few enough numbers to stand side by side
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=subs, numticks=8))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
    sentence = prediction(examination)
    return (
        _heading("Predicted against attacked")
        + f"<p>{_text(sentence)}</p>"
        + _figure(figure, sentence, "A point for each image; on the dashed line both agree.")
    )


def _own_ids(drawing: str) -> str:
    """The same SVG with ids that no other drawing of the page has, and none that nothing refers to."""
    drawing_name = hashlib.sha256(drawing.encode()).hexdigest()[:8]
    referred = set(re.findall(r'(?:href="|url\()#([^")]+)', drawing))

    def renamed(found: re.Match[str]) -> str:
        return f' id="{drawing_name}-{found[1]}"' if found[1] in referred else ""

    drawing = re.sub(r' id="([^"]+)"', renamed, drawing)
    return re.sub(r'(href="|url\()#', rf"\g<1>#{drawing_name}-", drawing)


def _figure(figure: Figure, alt: str, caption: str) -> str:
    """A figure as SVG whose ink follows the page's."""
    import matplotlib.pyplot as plt

    stream = io.StringIO()
    for axes in figure.axes:
        axes.set_facecolor("none")
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    drawing = stream.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = _own_ids(drawing)
    drawing = drawing.replace("#000000", "currentColor").replace("#dddddd", "var(--line)")
    drawing = drawing.replace("<svg", f'<svg fill="currentColor" role="img" aria-label="{_text(alt)}"', 1)
    return f"<figure>{drawing}<figcaption>{_text(caption)}</figcaption></figure>"
