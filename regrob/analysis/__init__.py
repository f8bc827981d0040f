"""From tables of results to intervals, comparisons and sentences; never imports torch.

`tables` reads and writes the files, and `results` finds the stored ones; `measures` says what is
measured and picks rows; `intervals` has means over seeds; `comparisons` and `equal_robustness` say
which penalty wins, and what it costs; `box` what an ℓ∞ attack can show of distances; `words` says so
in sentences, for which `phrases` writes counts and lists; `summary` makes tables of it, `page_table`
puts these on a page, `dots` makes panels for a picture; `provenance` says where numbers come from;
`predictions` reads predicted lengths beside attacks', `proved` the proofs of distances, of which
`proved_leads` compares penalties, `proved_theory` sets predicted lengths beside the truth, and
`proved_words` speaks in sentences; `paper_numbers` holds what the paper states, beside ours, and
`suspicions` what was tested where the two differ.
"""

from regrob.analysis.intervals import Interval, mean_interval, paired_difference
from regrob.analysis.measures import (
    ATTACKS,
    BENIGN,
    CARLINI,
    CONFIDENCE,
    DEEPFOOL,
    FGSM,
    LABELS,
    PGD,
    ROBUST,
    SLOPE,
    UNPENALISED,
    Measure,
    NetworkResults,
    by_network,
    means,
)

__all__ = [
    "ATTACKS", "BENIGN", "CARLINI", "CONFIDENCE", "DEEPFOOL", "FGSM", "LABELS", "PGD", "ROBUST", "SLOPE",
    "UNPENALISED", "Interval", "Measure", "NetworkResults", "by_network", "mean_interval", "means",
    "paired_difference",
]  # fmt: skip
