"""`python -m parity`, which is `centernet parity`."""

import sys

from centernet_data.cli import main

if __name__ == "__main__":
    sys.exit(main(["parity", *sys.argv[1:]]))
