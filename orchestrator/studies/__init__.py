"""Studies: a named list of trainings, the tables and figures made of them, and the claims they answer."""
