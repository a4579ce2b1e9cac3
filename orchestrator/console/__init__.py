"""Output of a terminal while something runs: bars, and the progress line of a sweep."""
