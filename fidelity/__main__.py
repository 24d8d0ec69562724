"""`python -m fidelity` is the command `fidelity`."""

import sys

from fidelity.cli import main

sys.exit(main())
