"""The record of a sweep in MLflow: journals written by trials, and one writer process that delivers them."""
