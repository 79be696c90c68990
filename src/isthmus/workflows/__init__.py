"""Whole jobs that wire the layers together: what the commands do, for Python too."""
