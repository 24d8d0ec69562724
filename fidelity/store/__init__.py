"""The store: runs, comparisons and token scores as directories of Parquet."""

from fidelity.store.store import Store

__all__ = ["Store"]
