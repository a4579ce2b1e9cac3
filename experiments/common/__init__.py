"""Parsing of options and errors that the commands share."""
