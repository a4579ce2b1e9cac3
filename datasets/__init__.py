"""Bytes -> batches: importers, shards, the node cache, the order of samples, the one degradation."""
