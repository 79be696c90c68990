"""How a decoder reads a memory: one connection a file."""
