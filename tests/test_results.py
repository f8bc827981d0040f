"""What a page says of a stored result's origin is what its sidecar says."""

from __future__ import annotations

import pandas as pd
import pytest

from regrob import results
from regrob.errors import DataError

SIDECAR = {
    "preset": "standard",
    "seconds": 5400.0,
    "networks": {
        "net": {"seeds": 10, "reference": 5000, "fine_tuning": 3000, "images": None, "distance_images": 200}
    },
    "made_by": [
        {"device": "x86_64 CPU", "date": "2026-01-02", "commit": "abc"},
        {"device": "x86_64 CPU", "date": "2026-01-01", "commit": None},
    ],
}


def test_words_of_a_sidecar():
    table = pd.DataFrame({"network": ["net", "net", "net", "other"], "lambda": [0.0, 6.4, 0.1, 9.0]})
    found = results.words(table, SIDECAR, "net")
    assert found == {
        "preset": "standard",
        "seeds": "10",
        "reference": "5 000",
        "fine-tuning": "3 000",
        "weights": "0.1, 6.4",
        "missing": "0.0001, 0.001, 0.01, 0.2, 0.4, 0.8, 1.6",
        "images": "the whole test set",
        "distance-images": "200 test images",
        "device": "x86_64 CPU",
        "date": "2026-01-01, 2026-01-02",
        "commit": "abc",
        "hours": "1.5",
    }
    with pytest.raises(DataError, match="no result of lenet-5"):
        results.words(table, SIDECAR, "lenet-5")
