"""uint8 frames in, FrameScores out."""
