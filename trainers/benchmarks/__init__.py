"""Tables of benchmark results.

sets        test sets as pairs of HR and LR images
cost        parameters, multiply-accumulates and latency of a network
table       measure models on test sets, write the table's files
formats     results as Markdown, CSV and LaTeX; any Markdown table
published   published numbers with their sources
"""
