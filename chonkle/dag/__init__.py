"""The pipeline as a graph: what the user wrote, and the plan made of it for one direction."""
