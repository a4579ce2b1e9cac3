"""Search spaces, samplers and proposals: which design to try next."""
