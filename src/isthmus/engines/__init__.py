"""What can run a bundle step by step: the search above it sees only `start`, `step` and `select`."""
