"""How counts, lists, devices and large numbers are written in a sentence."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

SMALL = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
"""Counts that are written in words."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun: "one seed", "ten seeds", "5 000 steps".

    >>> counted(1, "seed"), counted(3, "entry", "entries"), counted(5000, "step")
    ('one seed', 'three entries', '5 000 steps')
    """
    return f"{number(count)} {noun if count == 1 else plural or noun + 's'}"


def number(count: int) -> str:
    """A count in words up to twelve, in digits beyond: "no", "one", …, "5 000"."""
    return SMALL[count] if 0 <= count < len(SMALL) else thousands(count)


def numbers(counts: Iterable[int]) -> list[str]:
    """Counts that stand beside each other: all in words, or, if one is beyond twelve, all in digits.

    >>> numbers([3, 1]), numbers([3, 40])
    (['three', 'one'], ['3', '40'])
    """
    counts = [*counts]
    return [number(count) if max(counts, default=0) < len(SMALL) else thousands(count) for count in counts]


def thousands(count: int) -> str:
    """A count with a space between its thousands: "50 000"."""
    return f"{count:,}".replace(",", " ")


def power_of_ten(positive: float) -> str:
    """A positive number in one digit and a power of ten, "2·10⁷" or "4·10⁻¹⁶"; 1 to 10 000 whole."""
    if positive == 0 or 0.5 <= positive < 1e4:
        return f"{positive:.0f}"
    exponent = int(np.floor(np.log10(positive)))
    raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{positive * 10.0**-exponent:.0f}·10{raised}"


def at_most(size: float, spec: str) -> str:
    """A size in a format of fixed digits; "less than 0.1" where it would read as zero.

    >>> at_most(0.31, ".1f"), at_most(0.0, ".1f"), at_most(2e-6, ".4f")
    ('0.3', 'less than 0.1', 'less than 0.0001')
    """
    text = f"{size:{spec}}"
    return text if float(text) else f"less than {text[:-1]}1"


def listed(parts: Iterable[str], nothing: str = "none") -> str:
    """Parts of a sentence in a row: "a", "a and b", "a, b and c"; `nothing` without any."""
    *most, last = [*parts] or [nothing]
    return f"{', '.join(most)} and {last}" if most else last


def sentence(text: str) -> str:
    """A text with a capital letter at its beginning; the rest stays as it is."""
    return text[:1].upper() + text[1:]


def device(recorded: str) -> str:
    """What a results file says of its device, with an article: "an x86-64 processor".

    >>> device("x86_64 CPU"), device("NVIDIA H100"), device("not recorded")
    ('an x86-64 processor', 'an NVIDIA H100', 'a device that was not recorded')
    """
    if recorded == "not recorded":
        return "a device that was not recorded"
    name = recorded.replace("x86_64", "x86-64").replace("aarch64", "64-bit Arm").replace("CPU", "processor")
    spoken_with_a_vowel = name.lower().startswith(("a", "e", "i", "o", "x", "nvidia", "8"))
    return f"{'an' if spoken_with_a_vowel else 'a'} {name}"
