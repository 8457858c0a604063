"""Who may still be picked."""
