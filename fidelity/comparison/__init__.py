"""Outputs of runs, paired, scored and compared."""
