"""`python -m regrob`."""

import sys

from regrob.cli import main

if __name__ == "__main__":
    sys.exit(main())
