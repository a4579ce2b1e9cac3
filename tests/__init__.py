"""A regular package, so that the installed package `tests` of torch-fidelity does not hide this folder."""
