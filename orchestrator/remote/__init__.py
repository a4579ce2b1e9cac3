"""A sweep on other machines: found, reached over ssh, given the code, watched, and left alone."""
