"""Opinion scores: people rate pictures of several models from 1 to 5 without knowing whose they are.

pictures.py  where the pictures come from: folders, networks, classical resizers
study.py     a study on disk: pictures without names, the secret that hides them
order.py     which rater sees what when
ledger.py    ratings, each on the disk before it is answered
pages.py, page.css, page.js   what a rater sees
server.py    who may ask for what, on this machine alone
results.py   mean opinion scores with intervals, and what may be said of them
publish.py   tables, MLflow, the report of a sweep
"""
