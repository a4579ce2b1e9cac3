"""Early stopping of trials.

successive_halving  SuccessiveHalving, the scheduler
rules               RULES: how many of the trials at a rung are ahead of one of them
rungs               the steps at which trials are ranked
"""
