"""From a store to the candidates of a selection, as arrays."""
