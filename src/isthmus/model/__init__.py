"""Encoders, memories, connections, decoders, heads, and the model that joins them."""
