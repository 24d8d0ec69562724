"""Studies: many comparisons over sizes and formats."""
