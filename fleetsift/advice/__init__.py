"""What a pool is like, and how to select from it: measured on its rows, in plain words."""
