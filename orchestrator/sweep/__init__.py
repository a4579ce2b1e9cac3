"""One sweep, from its request to its result. sweep/run.py is the whole of it, sweep/stages.py its order.

request          Request, every option that decides what a sweep does
resume           the request of a new sweep, and of one that is resumed
checks, plan     checks before anything is spent; stages, rungs and warm starts
latency          latency and memory of architectures; those too slow to train
step_costs       steps and evaluations of a plan's architectures, timed on workers
cost_estimate    hours and cost of a plan, and the pace, from them
dry_run          the lines of --dry-run
wall_time, hours how long sizes take; the sizes that fit into --hours (pure functions)
clock            measured times, and sizes fitted again before each stage
fit_images       crops and losses of the photos recipes, from the images
run              run_sweep
context          SweepContext, what the stages share
stages, stage    the order of the stages; one stage's designs and names
stage_runner     one stage under Ray Tune, run or resumed
stage_observer   MLflow entries, progress line and rows at each event of a stage
population       population based training as the screen stage
held_out         measurements of the test stage
tune_callback    what a stage remembers in Tune's snapshots
tune_controller  Tune's controller: workers, whole snapshots, slots
claim            at most one driver works on a sweep; whether one does
heartbeat        the driver's beats, and the request to stop it
live_report      report.html while the sweep runs
result           designs, front and pick
champion_floor   the distortion that champions demand
status, summary  lines of --status and --stop; lines at the end
"""
