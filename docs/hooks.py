"""Pages of the site that lie elsewhere in the repository, so that each text stands once and where people look for it.

Links between pages are relative to the files, as code hosts want them; here they are turned to the pages of the site.
"""

import re
from os.path import normpath, relpath
from pathlib import Path, PurePosixPath

from mkdocs.structure.files import File

ELSEWHERE = {
    "BENCHMARKS.md": "benchmarks.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "parity/README.md": "parity.md",
}
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")


def on_files(files, config):
    """Adds the pages that lie outside docs/."""
    root = Path(config.config_file_path).parent
    for source, page in ELSEWHERE.items():
        files.append(File.generated(config, page, abs_src_path=str(root / source)))
    return files


def on_page_markdown(markdown, page, config, **_):
    """Turns the links of every page."""
    root = Path(config.config_file_path).parent
    here = Path(page.file.abs_src_path).relative_to(root).parent
    folder = PurePosixPath(page.file.src_uri).parent

    def turned(link):
        target = Path(normpath(here / link[1])).as_posix()
        return relpath(ELSEWHERE.get(target, target.removeprefix("docs/")), folder)

    return LINK.sub(turned, markdown)
