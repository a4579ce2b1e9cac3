"""Studies: a named list of trainings, the tables and figures of their results, and the claims they answer.

request: the settings of a study. spec, plan: its trainings and sets. estimate: its cost before it runs.
run, executor, training, evaluation, baselines, extra_metrics: train and measure, alone or on Ray.
results, figures, export: values, verdicts and drawings, and the files of the answer.
documents, claims: the claims of five documents, and their statuses. record: the answers that are recorded.
reproduce: a whole document.
kinds: the studies themselves.
"""
