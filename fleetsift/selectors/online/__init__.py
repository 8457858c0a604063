"""Picks made as frames arrive, under a budget a day; what is decided stays decided."""
