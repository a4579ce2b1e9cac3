"""The record of a sweep in MLflow: journals written by trials, and one writer process that delivers them.

run_key          the key of a run, sweep/stage/trial, and the name of its experiment
journal          a run's entries as lines of JSON, written where the run is
sweep_record     the driver's entries: runs of a sweep and its trials, costs, tables
table_run        a results table as one run
writer           the driver's spool and the writer process
writer_process   the loop of the writer process
delivery         spool -> MLflow
deduplicate      each metric value and param once
mlflow_client    opening an MLflow store
server           tracking addresses: defaults and the check that one can be written
"""
