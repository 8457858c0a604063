"""A batch on disk, and the rounds it continues."""
