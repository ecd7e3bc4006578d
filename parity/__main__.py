"""`python -m parity`, which is `centernet parity`, and `python -m parity bench`, which is `centernet bench`."""

import sys

from centernet.cli import main

if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(arguments if arguments[:1] == ["bench"] else ["parity", *arguments]))
