"""Runs that a configuration names by their path: finished runs of another store, and exported baselines."""

from fidelity import baselines
from fidelity.config import Control, RunConfig, StoredEngine
from fidelity.store.runs import Run
from fidelity.store.store import Store
from fidelity.store.token_scores import adopt_scores


def stored_runs(config: RunConfig, store: Store, *, as_baseline: bool) -> list[Run]:
    """Copy a finished or exported run into the store, with the controls in the same directory; empty for other configs.

    A candidate's own controls are copied only if its YAML asks for them.

    Raises:
        StoreError: The run is missing or damaged.
    """
    if not isinstance(config.engine, StoredEngine):
        return []
    if baselines.is_export(config.engine.path):
        run, *beside = baselines.adopt(config.engine.path, store)
    else:
        run = Run(config.engine.path)
        beside = [Run(manifest.parent) for manifest in sorted(run.path.parent.glob("*/manifest.json"))]
    controls: list[Run] = []
    if isinstance(config.control, Control) and config.control.path:
        controls = [Run(path) for path in config.control.path]
    elif config.control != "none" and (as_baseline or config.control):
        controls = [other for other in beside if other.manifest.control_of == run.manifest.digest]
    for scorer in (run, *controls):
        adopt_scores(scorer, store.root)
    return [store.adopt(run), *(store.adopt(control) for control in controls)]
