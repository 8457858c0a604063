"""The reduction compiled for the CPU: one pass over the logits of a frame."""
