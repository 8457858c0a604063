"""A cluster that this machine does not have, in virtual time: many partitions, and workers that join and die."""
