"""The two engines, which play a world against its samples."""
