"""What a person asks of an ensemble: where in a frame it is unsure, and whether its scores are true."""
