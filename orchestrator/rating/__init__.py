"""Blind opinion scores: people rate pictures of several models from 1 to 5 without knowing the models.

study          a study on disk: pictures under numbers, their models, the secret that hides them
create         a new study
pictures       its pictures: from folders, networks, classical resizers
presentation   the order of pictures for each rater, and names that reveal nothing
scores         ratings, each on the disk before the browser gets an answer
pages          HTML pages; page.css and page.js
server         the page over HTTP on this machine alone
results        mean opinion scores with intervals and verdicts
publish        tables, MLflow, the report of a sweep
"""
