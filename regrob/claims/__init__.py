"""The ledger: one object per statement of the paper, and per new theorem."""

from regrob.claims.claim import Claim, Evidence, Result, Text, Verdict, judge
from regrob.claims.ledger import CLAIMS, verdicts, verify

__all__ = ["CLAIMS", "Claim", "Evidence", "Result", "Text", "Verdict", "judge", "verdicts", "verify"]
