"""Making outside data safe: strings, JSON, secrets, and names that become paths."""
