"""The example runs in both backends, and the README shows it."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "train_loop.py"


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("backend", [pytest.param("jax", marks=pytest.mark.slow), "torch"])
def test_the_example_trains_saves_loads_and_detects(backend, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["example.py", "2"])
    code = EXAMPLE.read_text(encoding="utf-8")
    assert "from centernet_jax import" in code
    Path("example.py").write_text(code.replace("from centernet_jax", f"from centernet_{backend}"), encoding="utf-8")
    left = runpy.run_path("example.py")
    assert capsys.readouterr().out.startswith("step 0: loss ")
    assert int(left["state"].step) == 2
    assert type(left["detector"]).__module__ == f"centernet_{backend}.detector"
    assert left["detector"].config == left["config"]
    found = left["detector"]([left["picture"]], min_confidence=0.0)[0]
    assert len(found) > 0
    assert found.shape[1] == 6


def test_the_readme_shows_the_example():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"```python\n{EXAMPLE.read_text(encoding='utf-8')}```\n" in readme
