"""From corpora to examples to batches, and the doctor who looks at them first."""
