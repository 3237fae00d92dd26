"""Codecs in OCI registries: the model, and the client that speaks to them."""
