"""Upscale pictures of any size: tiles, image files, network interpolation."""
