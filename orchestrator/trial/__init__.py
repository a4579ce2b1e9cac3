"""One trial on a worker.

spec              what a trial is: shared settings, its design, the segments of its training
context           TrialContext, all that the parts of a trial share
trial             Trial, run_trial: from its warm start to its outcome
monitor           TrialMonitor: reports, checkpoints, journal, pictures
inputs            images and evaluator, cached per worker
warm_starts       published PSNR phases
distributed       run_ranks: a trial over several devices
reporter          TuneReporter; report_actor relays the reports of ranks
totals            wall and CPU time, means of gradient shares
preemption        notices of spot machines
"""
