"""`python -m striate`: the same as the command `striate`."""

import sys

from striate.cli import main

sys.exit(main())
