"""Pipelines: the graph as written, and the plan of one direction."""
