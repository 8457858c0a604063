"""From a frame's address to its pixels, decoded ahead and within bounds."""
