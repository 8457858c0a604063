"""A drawn fleet with its labels, and the tiny ensemble trained on it."""
