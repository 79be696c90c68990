"""From a memory and the tokens so far to features of the next: one decoder a file."""
