"""Ray workers, and the supervisor that deals partitions to them."""
