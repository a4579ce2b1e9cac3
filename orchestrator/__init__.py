"""Many trials, one cluster, one record: Ray Tune, Optuna and MLflow around the networks of `trainers`.

Each package may import only those above it, and `studies` and `rating` not `sweep`. docs/architecture.md
follows a setting, a sample and a metric.

storage, provenance   files on a folder or object store; commit and versions
console       bars, and the progress line of a sweep
tracking      journals of trials, and the one process that delivers them to MLflow
analysis      intervals, significance
results       a trial's report, a leaderboard's row, the files of a sweep's folder
search        spaces, samplers, the designs to try first
schedulers    early stopping
cluster       where commands and trials run
trial         one trial on a worker
report        report.html
registry      the gate, promotion, loading and exporting models
sweep         a request, its plan, its stages, its result
studies       experiments that repeat the claims of five documents
rating        opinion scores
"""
