"""Where what others wrote becomes safe: strings, JSON, secrets, and names that become paths."""
