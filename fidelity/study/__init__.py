"""Many comparisons over sizes and formats."""
