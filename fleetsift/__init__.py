"""Score every frame a fleet sends, and sift out the few worth labelling."""
