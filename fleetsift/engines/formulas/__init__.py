"""The formulas of every score in float64 NumPy: the truth that every engine is compared with."""
