"""The ledger: every statement of the paper, and every new theorem, with what proves and tests it.

A claim has two sides. One needs SymPy and mpmath and no torch: `claim` says what a claim is and judges
one; `statements` has them, with derivations and exact counterexamples, one file for each page of the
book; `ledger` holds and prints them all; `formal` says which of them Coq has proved, and `needed` has, for claims
in polynomials, numbers that refute them without one of their hypotheses; `hypotheses` has the words they share,
and `class_sums` sums over any number of classes. `enclosed` has checks whose numbers are intervals,
in files named like those of `statements`: an `enclosure` is compared at points of `rational_networks`, which
`forward_mode` differentiates. What a check says is a `measurement`.

The other side is in float64 and imported when it is asked for: `numbers` finds a claim's checks, which `numerical`
has in files of the same names. A `check` is put together by `combinators`; it runs over `samplings`
of random `instances` and networks, which the `oracle` differentiates by autograd alone, and is measured by
`comparisons`, in `groups` of one K and one kind of network each. `quadratic_model` says how far the model of the loss reaches on balls and boxes.
`your_network` holds the closed forms against a network of the reader's own.

What float64 itself does to the closed forms is proved, too: `rounding` computes with balls for rounding errors,
`rounded_tensor` lets the package's code run on them, and `accuracy` says how many digits each form keeps.
"""

from regrob.claims.claim import Claim, Evidence, Result, Text, Verdict, judge
from regrob.claims.ledger import CLAIMS, verdicts, verify

__all__ = ["CLAIMS", "Claim", "Evidence", "Result", "Text", "Verdict", "judge", "verdicts", "verify"]
