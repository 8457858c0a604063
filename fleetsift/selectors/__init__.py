"""From a pool of scored frames to the batch worth labelling: pool in, picks out, a receipt for each."""
