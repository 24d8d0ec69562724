"""The store: runs, comparisons and token scores as directories of Parquet files."""
