"""Text to pieces to ids and back, sentences, and metrics over strings; nothing here imports torch."""
