"""Many trials, one cluster, one record."""
