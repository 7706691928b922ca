"""Published measurements against what we say, and the numbers that are fitted to them."""
