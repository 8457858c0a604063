"""What messages are written in."""
