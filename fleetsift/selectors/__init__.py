"""Pool in, picks out."""
