"""`centernet --help` answers at once: it imports nothing heavy."""

import subprocess
import sys
from pathlib import Path


def test_the_command_line_imports_nothing_heavy():
    code = "import sys, centernet.cli; print({'numpy', 'cv2', 'PIL', 'jax', 'torch', 'matplotlib'} & set(sys.modules))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout == "set()\n"
