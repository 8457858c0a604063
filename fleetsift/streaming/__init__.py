"""References in, rows out."""
