"""Batches -> a trained, measured network. Never imports ray, mlflow or optuna."""
