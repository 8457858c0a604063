"""The engine against what people write: speed, what it adds to its networks, memory, and a GPU where there is one."""
