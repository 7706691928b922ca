"""What plays: two engines a world against its samples, one a replica against its requests."""
