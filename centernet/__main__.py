"""`python -m centernet` runs the command `centernet`."""

import sys

from centernet.cli import main

if __name__ == "__main__":
    sys.exit(main())
