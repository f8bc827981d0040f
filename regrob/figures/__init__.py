"""The figures: one style, the colours of the penalties, and what is drawn from results."""

from regrob.figures.theme import (
    BLACK,
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    LINE_STYLES,
    MARKERS,
    ORANGE,
    PENALTY_STYLE,
    PURPLE,
    SKY,
    VERMILION,
    digits,
    figure_1,
    style,
)

__all__ = [
    "BLACK", "BLUE", "COLOURS", "GREEN", "GREY", "LINE_STYLES", "MARKERS", "ORANGE", "PENALTY_STYLE",
    "PURPLE", "SKY", "VERMILION", "digits", "figure_1", "style",
]  # fmt: skip
