"""Draw every figure whose results a folder holds, and say what each shows.

    python -m regrob.pictures _build/results/quick

writes fig4.svg beside fig4.csv, and so on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from regrob.analysis import tables, words
from regrob.errors import DataError
from regrob.figures import results, theme

FIGURES = {
    "fig2": results.figure_2,
    "fig4": results.figure_4,
    "fig5": results.figure_5,
    "fig6": results.figure_6,
    "fig7": results.figure_7,
}


def draw_all(folder: Path) -> list[Path]:
    """Draw what there is, print what it shows, and return the pictures' paths.

    Raises:
        DataError: the folder holds no figure's results, or damaged ones.
    """
    import matplotlib.pyplot as plt

    found = []
    for name, figure in FIGURES.items():
        if not (folder / f"{name}.csv").is_file():
            continue
        table, sidecar = tables.read(folder, name)
        with theme.style():
            path = folder / f"{name}.svg"
            figure(table).savefig(path)
            plt.close("all")
        print(f"{path}\npreset {sidecar['preset']}\n{words.describe(table)}\n", flush=True)
        found.append(path)
    if not found:
        raise DataError(f"{folder} holds none of {', '.join(FIGURES)}; make them with regrob sweep")
    return found


def main() -> None:
    """Draw the figures of a folder of results."""
    parser = argparse.ArgumentParser(prog="python -m regrob.pictures", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="where the csv and json files are")
    draw_all(parser.parse_args().folder)


if __name__ == "__main__":
    main()
