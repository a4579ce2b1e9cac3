"""Where things run: this machine, a Ray address, or a cluster started by `ray up`."""
