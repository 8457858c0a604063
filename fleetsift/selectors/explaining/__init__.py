"""Why a frame was not picked, what would admit it, and the proof by repetition."""
