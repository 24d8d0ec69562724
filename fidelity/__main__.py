"""`python -m fidelity` runs the command `fidelity`."""

import sys


def main() -> int:
    """Run one command; Ctrl-C while Python still imports ends it as quietly as later."""
    try:
        from fidelity.cli import main as run
    except KeyboardInterrupt:
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
