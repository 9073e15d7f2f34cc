"""Processes that work for this one, and the memory that both see."""
