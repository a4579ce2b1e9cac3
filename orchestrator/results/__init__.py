"""The files that a sweep leaves in its storage, and the rows they hold."""
