"""`centernet data check`."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from centernet.options import ImageSize, height_and_width, require_image_size, require_parent_folder
from centernet.tables import number_table
from centernet_data.contract.checks import require
from centernet_data.contract.model_config import Resize

if TYPE_CHECKING:  # importing these would import numpy
    from centernet_data.doctor.audit import Audit
    from centernet_data.doctor.findings import Finding

CLASSES_SHOWN = 15
FINDINGS_SHOWN = {"error": 10, "warning": 4, "note": 4}  # of each kind
COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


@dataclass(frozen=True)
class Check:
    """Say what is wrong with a data set, record by record, and how much of it the network can express.

    Prints a page of numbers and findings and draws a sheet of pictures with their boxes, the most suspicious first.
    Ends with status 1 if there are errors: what training would refuse, or what makes its result meaningless.
    """

    data: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATA")]]
    """A built-in data set (shapes, scene-text), a TOML file that describes one, or tfds:NAME or tfds:FOLDER."""
    image_size: ImageSize = (256,)
    """Size of the network's input in pixels, one number for a square; multiples of 32."""
    resize: Resize = "letterbox"
    """How pictures are fitted into it: letterbox keeps their aspect ratio, stretch does not."""
    out: Path = Path("check.png")
    """Where the sheet of pictures goes."""
    json: Path | None = None
    """Also write all numbers and all findings to this file."""
    seed: int = 0
    """Seed for drawing the pictures of the sheet that nothing was found in."""

    def __post_init__(self):
        require_image_size(self.image_size)
        require("seed", self.seed, self.seed >= 0, "at least 0")
        if self.out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
            raise ValueError(f"{self.out}: the sheet of pictures must be a .png or .jpg file")

    @property
    def hw(self) -> tuple[int, int]:
        """The input's (height, width)."""
        return height_and_width(self.image_size)

    def run(self) -> int:
        """Prints, draws and writes. Returns 1 if the data set has errors. Raises ValueError if it is none at all."""
        from centernet_data.contract.files import write_text
        from centernet_data.doctor.audit import audit
        from centernet_data.doctor.sheet import draw_sheet
        from centernet_data.imaging.encoding import write_picture

        for path in (self.out, self.json):
            require_parent_folder(path)
        console = Console()

        def progress(looks, split: str, total: int):
            title = f"opening the pictures of [{split}]".replace("[", r"\[")
            return track(looks, title, total, console=console, transient=True, disable=not console.is_terminal)

        audited = audit(self.data, self.hw, self.resize, progress)
        print_report(console, self, audited)
        write_picture(self.out, draw_sheet(audited.splits, audited.findings, self.seed))
        _line(console, f"pictures with their boxes, the most suspicious first: {self.out}")
        if self.json:
            write_text(self.json, json.dumps(_as_json(self, audited), indent=1) + "\n")
        return int(any(finding.severity == "error" for finding in audited.findings))


def print_report(console: Console, options: Check, audited: "Audit") -> None:
    """The page: numbers by split, by class and of what the network can express, then the findings by kind."""
    numbers = audited.numbers
    if numbers:
        size = f"{options.hw[1]} x {options.hw[0]}, {options.resize}"
        for title, table in (
            ("Pictures and objects (small: below 32² pixels, large: from 96² on)", _overview(numbers)),
            ("Objects by class", _classes(numbers)),
            (f"What a perfect network could express at an input of {size}", _expressible(numbers)),
        ):
            console.print(f"\n[bold]{title}[/]", table, sep="\n", highlight=False)
    if notes := [f"{name}: {note}" for name, values in numbers.items() for note in values["notes"]]:
        _line(console, "\n" + "\n".join(notes))
    _print_findings(console, audited.findings)


def _print_findings(console: Console, findings: Sequence["Finding"]) -> None:
    from centernet_data.doctor.findings import SEVERITIES

    by_kind = defaultdict(list)
    for finding in findings:
        by_kind[finding.severity, finding.kind].append(finding.message)
    for (severity, kind), messages in by_kind.items():
        console.print(f"\n[{COLOURS[severity]}]{severity}[/]: {escape(kind)} ({len(messages)})", highlight=False)
        shown = messages[: FINDINGS_SHOWN[severity]]
        for message in shown:
            _line(console, f"  {message}")
        if more := len(messages) - len(shown):
            _line(console, f"  and {more} more (--json FILE writes all)")
    counts = Counter(finding.severity for finding in findings)
    _line(console, "\n" + ", ".join(_counted(counts[severity], severity) for severity in SEVERITIES))


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _overview(numbers: dict[str, dict]) -> Table:
    keys = ("pictures", "without_objects", "objects", "small", "medium", "large", "ignored")
    table = number_table("split", *(key.replace("_", " ") for key in keys), no_wrap=True)
    for name, values in numbers.items():
        table.add_row(escape(name), *(str(values[key]) for key in keys))
    return table


def _classes(numbers: dict[str, dict]) -> Table:
    totals: Counter[tuple[str, str]] = Counter()
    for split, values in numbers.items():
        for name, row in values["classes"].items():
            totals[name, split] += row["objects"]
            for key in ("objects", "pictures", "small", "medium", "large"):
                totals[name, f"all {key}"] += row[key]
    names = list(dict.fromkeys(name for values in numbers.values() for name in values["classes"]))
    names.sort(key=lambda name: -totals[name, "all objects"])
    sizes = ("pictures", "small", "medium", "large")
    splits = list(numbers)[:3]  # more would not fit
    table = number_table("class", *map(escape, splits), *sizes, no_wrap=True)
    for name in names[:CLASSES_SHOWN]:
        cells = [totals[name, split] for split in splits] + [totals[name, f"all {key}"] for key in sizes]
        table.add_row(escape(name), *map(str, cells))
    if len(names) > CLASSES_SHOWN:
        table.add_row(f"and {len(names) - CLASSES_SHOWN} more")
    return table


def _expressible(numbers: dict[str, dict]) -> Table:
    from centernet_data.contract.boxes import MOST_DETECTIONS, STRIDE

    table = number_table("", *map(escape, numbers), no_wrap=True)
    rows = {
        "objects": "objects",
        "vanished": "less than a pixel high or wide",
        "under_a_cell": f"less than a cell ({STRIDE} pixels) high or wide",
        "shared": "in the cell of another object",
        "beyond_the_best": f"beyond the best {MOST_DETECTIONS} of their picture",
        "AP": "AP of the truth, encoded and decoded again",
        "AP50": "AP50 of it",
    }
    for key, title in rows.items():
        cells = [values[key] if key == "objects" else values["expressible"][key] for values in numbers.values()]
        table.add_row(title, *map(_number, cells))
    return table


def _number(value: float | None) -> str:
    if value is None:  # no truth
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _as_json(options: Check, audited: "Audit") -> dict:
    return {
        "data": options.data,
        "image_size": list(options.hw),
        "resize": options.resize,
        "splits": audited.numbers,
        "findings": [finding._asdict() for finding in audited.findings],
    }
