"""Graphs that explain what they compute: scores, classes, and maps of what spoke for them."""
