"""Training: a generator of events over a model, an objective and batches; it knows nothing of generation, which is handed to it."""
