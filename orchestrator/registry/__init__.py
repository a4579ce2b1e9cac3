"""Promotion: candidates, the gate, the registry of models, loading and exporting them."""
