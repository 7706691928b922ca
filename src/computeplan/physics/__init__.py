"""What nature does: pure functions of numbers and arrays."""
