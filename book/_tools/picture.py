"""Draw the README's picture, Figure 1 at ν = 1, as an SVG that is the same every time."""

from __future__ import annotations

import re
from pathlib import Path

from regrob.figures import paper, theme

TARGET = Path(__file__).resolve().parent.parent / "_static" / "figure_1.svg"


def main() -> None:
    """Write the picture with two decimals a coordinate, which is less than a pixel."""
    with theme.style():
        figure = paper.figure_1(nu=1.0)
        figure.savefig(TARGET, format="svg", metadata={"Date": None, "Creator": None})
    lines = [line.rstrip() for line in TARGET.read_text(encoding="utf-8").splitlines()]
    short = [line if "scale(" in line else re.sub(r"(?<=\d\.\d\d)\d+", "", line) for line in lines]
    TARGET.write_text("\n".join(short) + "\n", encoding="utf-8")
    print(f"{TARGET.name}: {TARGET.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
