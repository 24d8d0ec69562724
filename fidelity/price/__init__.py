"""What a run costs: bytes, memory, speed, and the drift beside it."""
