"""Promotion of models: candidates, the gate that admits them, the registry, loading and exporting.

promote           the steps of a promotion, in order
candidate         the model to be promoted
candidate_source  the choice of it, for the command line
gate_images       measuring models on the gate set
evaluate          the gate's measurements, here or in a Ray task
gate              the decision
registry          versions and aliases of a registered model
export            the form in which a model is stored
model_name        a check of such a name that imports neither torch nor MLflow
load_model        a network by the name of a model, sweep, run, checkpoint or weight file
model_card        the description of a version
summary           a model in plain words: purpose, gain over bicubic, limits, licences of its data
describe          decisions and histories as text
"""
