"""How numbers over a frame become a picture that people can read: colours, their place on the frame, a legend."""
