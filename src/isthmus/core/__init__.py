"""The ground floor: errors, configuration base, padded batches, runtime and files."""
