"""Draw every figure whose results a folder holds, and say what each shows.

    python -m regrob.figures.draw_all _build/results/quick

writes fig4.svg beside fig4.csv, and so on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from regrob.analysis import measures, summary, tables
from regrob.errors import DataError
from regrob.figures import results, theme

TABLES = "fig?.csv"
"""The paper's figures, penalties against λ; each is drawn with all penalties that it holds."""


def draw_all(folder: Path) -> list[Path]:
    """Draw what there is, print what it shows, and return the pictures' paths.

    Raises:
        DataError: the folder holds no figure's results, or damaged ones.
    """
    import matplotlib.pyplot as plt

    paths = []
    for csv in sorted(folder.glob(TABLES)):
        table, sidecar = tables.read(folder, csv.stem)
        with theme.style():
            path = csv.with_suffix(".svg")
            results.robustness(table).savefig(path)
            plt.close("all")
        best = summary.best_settings(measures.by_network(table), measures.lines_of(table), measures.PGD)
        print(f"{path}\npreset {sidecar['preset']}, each penalty at its best λ under PGD", flush=True)
        print(f"{best.to_string(index=False)}\n", flush=True)
        paths.append(path)
    if not paths:
        raise DataError(f"{folder} holds no {TABLES}; make one with regrob sweep fig4, say")
    return paths


def main() -> None:
    """Draw the figures of a folder of results."""
    parser = argparse.ArgumentParser(prog="python -m regrob.figures.draw_all", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="where the csv and json files are")
    draw_all(parser.parse_args().folder)


if __name__ == "__main__":
    main()
