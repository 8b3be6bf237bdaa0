"""Floor 3: every connection that the broker opens to somebody else's machine, under one policy of allowed addresses."""
