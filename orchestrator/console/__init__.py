"""What a terminal shows while something runs: bars, and the progress line of a sweep."""
