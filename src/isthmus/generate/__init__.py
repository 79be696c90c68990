"""From a model to text: choosing, searching, and the translator that users meet."""
