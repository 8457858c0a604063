"""The values that pass between rooms: frozen, checked once on entry, no I/O."""
