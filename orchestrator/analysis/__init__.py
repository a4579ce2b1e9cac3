"""Statistics of results, as pure functions: intervals, significance, selection."""
