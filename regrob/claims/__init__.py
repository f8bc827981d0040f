"""The ledger: every statement of the paper, and every new theorem, with what proves and tests it.

`claim` says what a claim is and judges one; `ledger` holds and prints them all; `statements` has
one file for each page of the book. `combinators` puts proofs and checks together; these run over
`samplings` of random `instances` and networks, which the `oracle` differentiates by autograd alone, and
are measured by `comparisons`; `hypotheses` has the words they share. `quadratic_model` says how far the
model of the loss reaches on balls and boxes, and `class_sums` sums over any number of classes.
`your_network` holds the closed forms against a network of the reader's own.
"""

from regrob.claims.claim import Claim, Evidence, Result, Text, Verdict, judge
from regrob.claims.ledger import CLAIMS, verdicts, verify

__all__ = ["CLAIMS", "Claim", "Evidence", "Result", "Text", "Verdict", "judge", "verdicts", "verify"]
