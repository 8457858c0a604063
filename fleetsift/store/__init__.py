"""The chain of segments that is written, and the DuckDB views that are read."""
