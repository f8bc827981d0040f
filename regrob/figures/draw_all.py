"""Draw every figure whose results a folder holds, and say what each shows.

    python -m regrob.figures.draw_all _build/results/quick

writes fig4.svg beside fig4.csv, and so on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from regrob.analysis import tables, words
from regrob.errors import DataError
from regrob.figures import results, theme

FIGURES = ("fig2", "fig4", "fig5", "fig6", "fig7")
"""Tables of penalties against λ; each is drawn with all penalties that it holds."""


def draw_all(folder: Path) -> list[Path]:
    """Draw what there is, print what it shows, and return the pictures' paths.

    Raises:
        DataError: the folder holds no figure's results, or damaged ones.
    """
    import matplotlib.pyplot as plt

    paths = []
    for name in FIGURES:
        if not (folder / f"{name}.csv").is_file():
            continue
        table, sidecar = tables.read(folder, name)
        with theme.style():
            path = folder / f"{name}.svg"
            results.robustness(table).savefig(path)
            plt.close("all")
        print(f"{path}\npreset {sidecar['preset']}\n{words.describe(table)}\n", flush=True)
        paths.append(path)
    if not paths:
        raise DataError(f"{folder} holds none of {', '.join(FIGURES)}; make them with regrob sweep")
    return paths


def main() -> None:
    """Draw the figures of a folder of results."""
    parser = argparse.ArgumentParser(prog="python -m regrob.figures.draw_all", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="where the csv and json files are")
    draw_all(parser.parse_args().folder)


if __name__ == "__main__":
    main()
