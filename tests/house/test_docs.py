"""What the documents say about the tree is true: links, paths, commands, and the drawing of the rooms."""

import json
import re
import shlex
import tomllib
from itertools import pairwise, product
from pathlib import Path

import pytest

from centernet.cli import parse
from centernet_data import __version__

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "data/README.md", ROOT / "parity/README.md"])
PAGES += sorted((ROOT / "notebooks").glob("*.ipynb"))


def name_of(page):
    return page.relative_to(ROOT).as_posix()


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def text_of(page):
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
    return "\n\n".join("".join(cell["source"]) for cell in cells)


def anchors(page):
    """The anchors that links to this page may use."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_its_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", text_of(page)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name_of
)  # of the past too
def test_the_paths_it_names_are_there(page):
    rooms = r"(?:\.ci|centernet|centernet_jax|centernet_torch|parity|data|tests|docs|examples|notebooks)"
    for path in re.findall(rf"`({rooms}/[\w./]*)`", text_of(page)):
        assert (ROOT / path).exists(), path


def commands(text):
    """The commands `centernet ...` in indented code, after another program too, and in tables."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = re.findall(r"^ {4}(.*)$", text, re.MULTILINE)
    cells = [code for row in re.findall(r"^\|.*$", text, re.MULTILINE) for code in re.findall(r"`([^`]+)`", row)]
    for line in [*lines, *cells]:
        if found := re.search(r"^(?:pip .* && |srun .* )?centernet (.+)$", line):
            yield found[1]


@every_page
def test_its_commands_have_the_options_that_there_are(page):
    for command in commands(text_of(page)):
        parse(shlex.split(command, comments=True))


def test_commands_are_found():
    found = list(commands(text_of(ROOT / "README.md")))
    assert "train" in found
    assert len(found) >= 6


def arrows_of_contract(contract):
    layers = [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
    return {arrow for upper, lower in pairwise(layers) for arrow in product(upper, lower)}


def test_the_drawing_has_the_arrows_that_are_held():
    text = text_of(ROOT / "docs" / "architecture.md")
    drawing = re.search(r"```mermaid\n(.*?)```", text, re.DOTALL)[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {contract["name"]: contract for contract in project["tool"]["importlinter"]["contracts"]}
    held = [contracts[name] for name in ("The house: arrows point down", "The rooms of the data")]
    assert set(re.findall(r"(\w+) --> (\w+)", drawing)) == set.union(*map(arrows_of_contract, held))


@pytest.mark.parametrize("side", ["centernet_jax", "centernet_torch"])
def test_the_reference_has_every_file_of_the_twins(side):
    listed = re.findall(rf"^::: {side}\.(\w+)$", text_of(ROOT / "docs" / "api" / f"{side}.md"), re.MULTILINE)
    assert set(listed) == {path.stem for path in (ROOT / side).glob("*.py")} - {"__init__"}


def test_the_changelog_and_the_citation_know_the_version():
    changes = text_of(ROOT / "CHANGELOG.md")
    assert re.findall(r"^## \[(.+?)\]", changes, re.MULTILINE)[:2] == ["Unreleased", __version__]
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
