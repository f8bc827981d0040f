"""From tables of results to intervals, comparisons and sentences: numpy and pandas, no torch."""
