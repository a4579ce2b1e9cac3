"""Opinion scores: people rate pictures of several models from 1 to 5 without knowing whose they are.

study.py     a study on disk: pictures without names, the secret that hides them
make.py      a new study
pictures.py  where its pictures come from: folders, networks, classical resizers
order.py     which rater sees what when
ledger.py    ratings, each on the disk before it is answered
pages.py, page.css, page.js   what a rater sees
server.py    who may ask for what, on this machine alone
results.py   mean opinion scores with intervals, and what may be said of them
session.py   what the script does: let others rate, tell the results
publish.py   tables, MLflow, the report of a sweep
"""
