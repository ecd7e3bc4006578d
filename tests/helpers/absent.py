"""Packages that are not installed, as far as imports can tell."""

import sys
from pathlib import Path


class Absent:
    """A finder for the front of `sys.meta_path` that finds none of these packages."""

    def __init__(self, *packages):
        self.packages = packages

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def code_without(packages):
    """Code to put before other code, for a process of its own in which these packages are not installed."""
    tests = str(Path(__file__).parents[1])
    return f"""
import sys
sys.path.append({tests!r})
from helpers.absent import Absent
sys.meta_path.insert(0, Absent(*{sorted(packages)!r}))
"""


def hide(monkeypatch, package):
    """Hides a package from this process, imported or not, until the test ends."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent(package), *sys.meta_path])
