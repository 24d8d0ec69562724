"""`fidelity study` and `fidelity dashboard`."""

import argparse
import os
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.cli.comparing import metrics_of
from fidelity.cli.options import (
    COULD_NOT_JUDGE,
    OK,
    Commands,
    add_keep_failures,
    add_limit,
    add_store,
    add_workers,
    open_store,
    positive,
    workers_of,
)
from fidelity.cli.terminal import echo
from fidelity.errors import ConfigError, MissingPackageError

if TYPE_CHECKING:
    from fidelity.runs.pool import Places


def add_to(commands: Commands) -> None:
    """Add these commands to the parser's."""
    study = commands.add_parser(
        "study", help="compare many sizes and formats: run what is missing, continue after failures"
    )
    study.add_argument("study", type=Path, help="the study's YAML file")
    study.add_argument("--dry-run", action="store_true", help="only print what would run, its size and its duration")
    places = study.add_mutually_exclusive_group()
    places.add_argument(
        "--gpus", metavar="LIST", help="the GPUs to use, such as 0,1,2,3 (default: all that are visible)"
    )
    places.add_argument(
        "--engines", type=positive, metavar="N", help="without a GPU: the number of engines at once (default: 1)"
    )
    places.add_argument(
        "--ray", nargs="?", const="auto", metavar="ADDRESS", help="use a Ray cluster (default: the one of this machine)"
    )
    add_limit(study)
    add_keep_failures(study)
    add_workers(study)
    add_store(study, urls=True)
    study.set_defaults(command=_study, yaml=("study",))

    dashboard = commands.add_parser("dashboard", help="open a store in the browser, on this machine only")
    add_store(dashboard)
    dashboard.add_argument("--port", type=positive, default=8501, metavar="N", help="the port (default: 8501)")
    dashboard.add_argument(
        "--gate", type=Path, metavar="FILE", help="the gate file for comparisons that belong to no study"
    )
    dashboard.set_defaults(command=_dashboard)


def _study(chosen: argparse.Namespace) -> int:
    from fidelity.cli.progress import ProgressBar
    from fidelity.study.plan import plan_study
    from fidelity.study.study import load_study, run_study

    study, store = load_study(chosen.study), open_store(chosen.store)
    places = _places(chosen)
    if chosen.dry_run:
        for line in plan_study(study, store=store, limit=chosen.limit, places=places.total() if places else 1).lines():
            echo(line)
        return OK
    cells = run_study(
        study,
        store=store,
        listener=ProgressBar(chosen),
        metrics_of=metrics_of,
        limit=chosen.limit,
        keep_failures=chosen.keep_failures,
        workers=workers_of(chosen),
        places=places,
    )
    failed = [cell for cell in cells if cell.comparison is None]
    for cell in cells:
        how = f"failed: {cell.why}" if cell in failed else f"compared: {cell.comparison}"
        echo(f"{cell.family}: {cell.candidate}: {how}")
    view = "" if "store_url" in chosen else f"; to view them: fidelity dashboard --store {store.root}"
    echo(f"{len(cells) - len(failed)} of {len(cells)} compared{view}")
    return COULD_NOT_JUDGE if failed else OK


def _places(chosen: argparse.Namespace) -> "Places | None":
    """Where engines run at once; None to run one after the other on the machine's only GPU, or its CPU.

    Raises:
        ConfigError: A GPU isn't there.
    """
    from fidelity.engines.devices import visible_gpus
    from fidelity.runs.pool import LocalPlaces

    if chosen.ray:
        from fidelity.runs.ray_places import RayPlaces

        return RayPlaces(chosen.ray)
    if chosen.engines:
        return LocalPlaces(engines=chosen.engines)
    visible = visible_gpus()
    if chosen.gpus is None:
        return LocalPlaces(gpus=visible) if len(visible) > 1 else None
    gpus = tuple(name.strip() for name in chosen.gpus.split(","))
    if missing := [name for name in gpus if name not in visible]:
        shown = ", ".join(visible) or "none"
        raise ConfigError(f"--gpus {chosen.gpus}: GPU {missing[0]!r} is not visible here; visible are: {shown}")
    if len(set(gpus)) < len(gpus):
        raise ConfigError(f"--gpus {chosen.gpus}: a GPU is named twice")
    return LocalPlaces(gpus=gpus)


def _dashboard(chosen: argparse.Namespace) -> int:
    """Run Streamlit in this process: headless, on loopback, without telemetry."""
    from fidelity import dashboard

    if find_spec("streamlit") is None:
        raise MissingPackageError("streamlit", extra="dashboard", needed_by="`fidelity dashboard`")
    _check_port(chosen.port)
    os.environ[dashboard.STORE] = str(open_store(chosen.store).root.resolve())
    if chosen.gate:
        os.environ[dashboard.GATE] = str(chosen.gate.resolve())
    from fidelity.dashboard import pages

    pages.load()  # before the server is up, so the first visitor doesn't wait for it
    from streamlit.web import cli

    door = Path(dashboard.__file__).with_name("server.py")
    options = ["--server.address", "127.0.0.1", "--server.port", str(chosen.port), "--server.headless", "true"]
    cli.main(["run", str(door), *options, "--browser.gatherUsageStats", "false"], standalone_mode=False)
    return OK


def _check_port(port: int) -> None:
    """Check that the dashboard's port can be used: Streamlit would end with 1, which means a failed gate here.

    Raises:
        ConfigError: Another program uses it, or this user may not.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just closed can be used
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or "ports end at 65535"
            raise ConfigError(f"--port {port}: can't be used ({why}); choose another one") from error
