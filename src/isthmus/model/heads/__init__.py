"""From features to a distribution over the vocabulary: one head a file."""
