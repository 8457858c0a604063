"""What people who watch over a stream look at, beside the stream and never in its way."""
