"""Two runs compared token by token."""
