from types import SimpleNamespace

RequestOutputKind = SimpleNamespace(DELTA="delta", FINAL_ONLY="final only")
