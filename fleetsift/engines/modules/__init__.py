"""Ensembles of torch modules, for networks that are still being made."""
