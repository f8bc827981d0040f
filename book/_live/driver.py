"""Runs a page's cells, or judges claims, in the browser's Python; the worker imports it and calls `Runner`.

A page is read from top to bottom, so its cells run like that: each begins with the names that the steps
before it left, even if later ones have run since.
"""

from __future__ import annotations

import builtins
import io
import json
import sys
import time
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

from pyodide.code import eval_code

from regrob.errors import ProofError

LONGEST = 100_000
"""Characters that one cell may print; a loop that prints without end would freeze the page."""
PAUSE = 0.1
"""Seconds between two parcels of printed text."""


class TooMuchPrintedError(RuntimeError):
    """A cell printed more than `LONGEST` characters."""


class Printed(io.TextIOBase):
    """What stands for the terminal: sends printed text to the page, in parcels."""

    def __init__(self, send: Callable[[str, str], object]) -> None:
        self.send = send
        self.begin()

    def begin(self) -> None:
        """A cell begins: nothing is printed yet."""
        self.waiting: list[str] = []
        self.length, self.sent_at = 0, time.monotonic()

    def write(self, text: str) -> int:
        """Keep text for the next parcel."""
        self.length += len(text)
        if self.length > LONGEST:
            self.length = 0  # so that the error itself can be printed
            raise TooMuchPrintedError(f"the cell printed more than {LONGEST:,} characters")
        self.waiting.append(text)
        if time.monotonic() - self.sent_at > PAUSE:
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Send what waits."""
        if self.waiting:
            self.send("text", "".join(self.waiting))
        self.waiting, self.sent_at = [], time.monotonic()


class Runner:
    """The names of one page, and the page's way to run code on them.

    Args:
        send: takes a kind of output ("text", "value", "latex", "error", "claim") and the output.
    """

    def __init__(self, send: Callable[[str, str], object]) -> None:
        self.send = send
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.before: list[dict[str, Any]] = [dict(self.names)]
        self.sources: dict[str, list[str]] = {}
        self.printed = Printed(send)
        sys.stdout = sys.stderr = self.printed  # type: ignore[assignment]
        self._offer_display()

    def run(self, place: int, code: str, name: str) -> bool:
        """Run the code of one step from what the steps before it left.

        Args:
            place: which step it is; all before it have run.
            code: what it says now.
            name: what errors call it, "cell 3".

        Returns:
            Whether it ran to its end.
        """
        self.names.clear()  # functions of earlier cells look names up in this very dictionary
        self.names.update(self.before[place])
        self.sources[name] = code.splitlines()
        self.printed.begin()
        try:
            value = eval_code(code, self.names, filename=name)
            if value is not None:
                self.show(value)
        except BaseException as error:  # SystemExit too: a page does not exit
            self.printed.flush()
            self.send("error", self.in_words(error, name))
            return False
        self.printed.flush()
        self.before[place + 1 :] = [dict(self.names)]
        return True

    def show(self, *values: object, raw: bool = False, **_: object) -> None:
        """Send values as a notebook shows them: a formula where there is one, else text.

        What is raw is for other programs, `glue`'s numbers say, and is left out.
        """
        self.printed.flush()
        if raw:
            return
        for value in values:
            latex = getattr(value, "_repr_latex_", None)
            formula = latex() if callable(latex) else None
            if formula:
                self.send("latex", formula.strip("$"))
            else:
                self.send("value", repr(value))

    def in_words(self, error: BaseException, name: str) -> str:
        """What went wrong, and in which lines of the page's cells."""
        if isinstance(error, SyntaxError) and error.filename == name:
            return f"Python cannot read line {error.lineno}: {error.msg}."
        if isinstance(error, ProofError):
            what = f"The proof fails: {error}"
        elif isinstance(error, AssertionError) and not error.args:
            what = "What is asserted is false"
        elif isinstance(error, RecursionError):
            what = "A function calls itself without end"
        else:
            what = f"{type(error).__name__}: {error}"
        lines = [what.rstrip(".") + "."]
        for frame in traceback.extract_tb(error.__traceback__)[-50:]:
            source = self.sources.get(frame.filename, [])
            if frame.lineno and frame.lineno <= len(source):
                lines.append(f"{frame.filename}, line {frame.lineno}: {source[frame.lineno - 1].strip()}")
        return "\n".join(dict.fromkeys(lines))  # a recursion says each line once

    def verify(self, name: str) -> None:
        """Judge the claim of this name by all that needs no torch, with its teeth."""
        from regrob.claims import ledger

        for judgement in ledger.verify([name], symbolic=True):
            record = {
                "id": judgement.claim.id,
                "ok": judgement.as_expected,
                "verdict": judgement.verdict.value,
                "failures": judgement.failures,
                "seconds": judgement.seconds,
            }
            self.send("claim", json.dumps(record))

    def _offer_display(self) -> None:
        """`display`, as a notebook has it, by name and from IPython."""
        builtins.display = self.show  # type: ignore[attr-defined]
        package, module = ModuleType("IPython"), ModuleType("IPython.display")
        package.display = module  # type: ignore[attr-defined]
        module.display = self.show  # type: ignore[attr-defined]
        sys.modules |= {"IPython": package, "IPython.display": module}
