"""How an engine is held against the float64 reference."""
