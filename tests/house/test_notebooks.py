"""The notebooks run as they are, at a small setting, and are kept with what a whole run returned."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST = 1_000_000  # bytes; everybody clones this file

# nbclient sometimes drops a kernel that has not ended yet.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(notebook):
    """What all cells wrote, by stream ("stdout", "stderr")."""
    texts = {"stdout": "", "stderr": ""}
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "stream":
                texts[output.name] += output.text
    return texts


def pictures(notebook):
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return [kind for output in outputs for kind in output.get("data", {}) if kind.startswith("image/")]


def test_there_is_a_notebook():
    assert NOTEBOOKS


@pytest.mark.slow
@every_notebook
def test_it_runs_and_returns_as_many_pictures_as_were_kept(path, monkeypatch):
    monkeypatch.setenv("CENTERNET_NOTEBOOK_STEPS", "2")
    monkeypatch.setenv("CENTERNET_NOTEBOOK_SIDE", "64")
    monkeypatch.delenv("CENTERNET_NOTEBOOK_DATA", raising=False)
    monkeypatch.setenv("PYTHONWARNINGS", "error:::__main__")  # of the cells' own code
    kept, notebook = read(path), read(path)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    assert "Warning" not in printed(notebook)["stderr"]
    assert pictures(notebook) == pictures(kept)
    assert "AP50" in printed(notebook)["stdout"]


@every_notebook
def test_it_is_kept_as_one_run_from_top_to_bottom(path):
    cells = code_cells(read(path))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert printed(read(path))["stderr"] == ""
    assert pictures(read(path))
    assert path.stat().st_size < LARGEST


@every_notebook
def test_what_is_kept_shows_rendered_scenes_and_no_photographs(path):
    assert re.search("(shapes|scene-text)-train-0", printed(read(path))["stdout"])
