"""The ways of picking: greedy, and classes in turn."""
