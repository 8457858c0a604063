"""Random schedules of faults, counted by the oracle: thousands of seeds, each of which can be run again."""
