"""Distortion and perception, each metric with its protocol."""
