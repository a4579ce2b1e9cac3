"""Search: spaces of designs, and samplers that propose the next one.

axes          Choice, Float, Int, LogFloat, LogInt, Derived
space         Space: a table of axes
space_file    a user's own space, path.py:Name or path.yaml
sampler       ConstrainedOptunaSearch: Gaussian process, TPE, NSGA-II, random, grid
windowed      Optuna's samplers on a window of a long study
proposals     designs chosen before any trial has run
perturb       designs near another one, for population based training
hooks         StageHooks, the driver's side of a running stage
study_export  study.db for optuna-dashboard
"""
