"""Proofs in one frame, from the word to the box □.

A proof that runs over cells of code is written between {prf:proof-start} and {prf:proof-end}. Its
parts then lie in one node, but sphinx-proof draws a frame around the first of them only.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx
from sphinx_proof.nodes import proof_node

END = "□"


def opens(translator: Any, node: proof_node) -> None:
    """The frame around all that belongs to the proof."""
    for box in node.children:  # sphinx-proof gives the same id to every proof
        box["ids"] = [name for name in box.get("ids", ()) if name != "proof"]
    translator.body.append('<div class="whole-proof">\n')


def closes(translator: Any, node: proof_node) -> None:
    """The box at its end, unless the text brought one."""
    if not node.astext().rstrip().endswith(END):
        translator.body.append(f'<p class="qed"><span role="img" aria-label="End of proof">{END}</span></p>')
    translator.body.append("</div>\n")


def setup(app: Sphinx) -> None:
    """Draw proofs anew, when every extension has named its nodes."""
    app.connect("builder-inited", lambda app: app.add_node(proof_node, override=True, html=(opens, closes)))
    app.add_css_file("proofs.css", priority=900)
