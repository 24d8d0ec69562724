"""`python -m fidelity` runs the command `fidelity`."""

import sys

from fidelity.cli import main

sys.exit(main())
