"""Install the pinned packages, or pin them again: `python requirements/pins.py install|lock [--torch-index URL]`.

uv does the work, because it installs this list in a fraction of pip's time. But pip is configured for the network,
and uv ignores that: pip's indexes, links and certificate are passed on to uv. If uv is not available, or fails,
pip installs.
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
PINS = HERE / "cpu.txt"
UV = "uv==0.13.9"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"


def install(torch_index: str) -> None:
    """Install cpu.txt into the environment of the Python that runs this."""
    links = torch_links(PINS, torch_index)
    wanted = ["--no-deps", "--requirement", str(PINS)]
    count = sum("==" in line for line in PINS.read_text().splitlines())
    print(f"installing {count} packages (3 GB on disk)", flush=True)
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    if not pip("install", "--quiet", UV) or not uv("install", "--python", sys.executable, *quiet, *links, *wanted):
        print("uv could not install them; pip tries (minutes)", flush=True)
        # Byte code would cost two minutes, most of it for files that nothing imports.
        if not pip("install", "--no-compile", *quiet, *links, *wanted):
            sys.exit("The packages could not be installed; the reason stands above.")


def lock(torch_index: str) -> None:
    """Write cpu.txt from cpu.in and overrides.txt, with the newest versions that go together."""
    overrides = HERE / "overrides.txt"
    links = torch_links(overrides, torch_index)
    with tempfile.TemporaryDirectory() as scratch:
        venv.create(scratch, with_pip=True)
        python = str(Path(scratch, "bin", "python"))
        # Without --no-annotate and --no-header the file would name this machine's paths and indexes.
        if not pip("install", "--quiet", UV, python=python) or not uv(
            *("compile", "--quiet", "--upgrade", "--python-version", "3.11", "--no-header", "--no-annotate", *links),
            *("--override", str(overrides), "--output-file", str(PINS), str(HERE / "cpu.in")),
            python=python,
        ):
            sys.exit(f"{PINS.name} could not be made; the reason stands above.")


def torch_links(pins: Path, torch_index: str) -> list[str]:
    """Where to look for PyTorch's CPU build: nowhere special if pip finds it, as on a machine set up for that."""
    [pin] = [line for line in pins.read_text().splitlines() if line.startswith("torch==")]
    if pip("install", "--dry-run", "--no-deps", "--ignore-installed", "--quiet", pin, stderr=subprocess.DEVNULL):
        return []
    print(f"pip doesn't find {pin} by itself: adding the index {torch_index} (TORCH_INDEX)", flush=True)
    return ["--extra-index-url", torch_index]


def pip(*arguments: str, python: str = sys.executable, stderr: int | None = None) -> bool:
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, stderr=stderr, check=False).returncode == 0


def uv(*arguments: str, python: str = sys.executable) -> bool:
    """Run `uv pip` with pip's settings, and choose among indexes as pip does: the best match, not the first one."""
    settings = pip_settings()
    options = ["--index-strategy", "unsafe-best-match"]
    for name, key in ("default-index", "index-url"), ("extra-index-url",) * 2, ("find-links",) * 2:
        options += [f"--{name}={value}" for value in settings.get(key, "").split()]
    environment = dict(os.environ)
    if "cert" in settings:
        environment.setdefault("SSL_CERT_FILE", settings["cert"])
    command = [python, "-m", "uv", "pip", *arguments, *options]
    return subprocess.run(command, env=environment, check=False).returncode == 0


def pip_settings() -> dict[str, str]:
    """What pip's files and environment tell it. The stronger word comes last: global, install, environment."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    lines = [line.partition("=") for line in listed.splitlines()]
    return {
        key.removeprefix(section): str(ast.literal_eval(value))
        for section in ("global.", "install.", ":env:.")
        for key, _, value in lines
        if key.startswith(section)
    }


def main() -> None:
    """Install or lock, by the first argument."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["install", "lock"])
    parser.add_argument("--torch-index", default=TORCH_INDEX, metavar="URL", help="default: %(default)s")
    arguments = parser.parse_args()
    {"install": install, "lock": lock}[arguments.what](arguments.torch_index)


if __name__ == "__main__":
    main()
