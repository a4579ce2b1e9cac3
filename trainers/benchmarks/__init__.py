"""Tables of benchmark results: test sets, costs, published rows, formats."""
