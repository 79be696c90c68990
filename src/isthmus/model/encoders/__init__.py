"""From a padded source to a memory: one encoder a file."""
