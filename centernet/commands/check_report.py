"""What `centernet data check` prints and writes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from centernet.terminal import number_table
from centernet.training.progress import picture_progress
from centernet_data.contract.boxes import MOST_DETECTIONS, STRIDE
from centernet_data.contract.model_config import Resize
from centernet_data.doctor.audit import Audit, Look, Progress
from centernet_data.doctor.findings import SEVERITIES, Finding

CLASSES_SHOWN = 15
SPLITS_SHOWN = 3  # more columns would not fit into a terminal
FINDINGS_SHOWN = {"error": 10, "warning": 4, "note": 4}  # of each kind
COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def progress_on(console: Console) -> Progress:
    """Shows a progress bar while the pictures of a split are opened, if the console is a terminal."""

    def progress(looks: Iterable[Look], split: str, total: int) -> Iterable[Look]:
        with picture_progress(console) as bar:
            yield from bar.track(looks, total, description=f"opening the pictures of [{split}]")

    return progress


def print_report(audited: Audit, hw: tuple[int, int], resize: Resize, console: Console) -> None:
    """Numbers by split, by class and of what the network can express, then the findings by kind.

    `hw` and `resize` are those of the network's input.
    """
    numbers = audited.numbers
    if numbers:
        for title, table in (
            ("Pictures and objects (small: below 32² pixels, large: 96² and above)", _overview(numbers)),
            ("Objects by class", _classes(numbers)),
            (f"What a perfect network could express at {hw[1]} x {hw[0]}, {resize}", _expressible(numbers)),
        ):
            console.print(Text(f"\n{title}", style="bold"), table, sep="\n")
    if notes := [f"{name}: {note}" for name, values in numbers.items() for note in values["notes"]]:
        say(console, "\n" + "\n".join(notes))
    _print_findings(audited.findings, console)


def say(console: Console, text: str) -> None:
    """Prints text as it is, unwrapped."""
    console.print(text, soft_wrap=True)


def as_json(audited: Audit, data: str, hw: tuple[int, int], resize: Resize) -> dict:
    """Everything that is known of the data set `data`, as --json writes it."""
    return {
        "data": data,
        "image_size": list(hw),
        "resize": resize,
        "splits": audited.numbers,
        "findings": [finding._asdict() for finding in audited.findings],
    }


def _print_findings(findings: Sequence[Finding], console: Console) -> None:
    by_kind = defaultdict(list)
    for finding in findings:
        by_kind[finding.severity, finding.kind].append(finding.message)
    for (severity, kind), messages in by_kind.items():
        console.print(Text.assemble("\n", (severity, COLOURS[severity]), f": {kind} ({len(messages)})"))
        shown = messages[: FINDINGS_SHOWN[severity]]
        for message in shown:
            say(console, f"  {message}")
        if more := len(messages) - len(shown):
            say(console, f"  and {more} more (--json FILE writes all)")
    counts = Counter(finding.severity for finding in findings)
    say(console, "\n" + ", ".join(_counted(counts[severity], severity) for severity in SEVERITIES))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _overview(numbers: Mapping[str, dict]) -> Table:
    keys = ("pictures", "without_objects", "objects", "small", "medium", "large", "ignored")
    table = number_table("split", *(key.replace("_", " ") for key in keys), no_wrap=True)
    for name, values in numbers.items():
        table.add_row(name, *(str(values[key]) for key in keys))
    return table


def _classes(numbers: Mapping[str, dict]) -> Table:
    """The most frequent classes: objects by split, then pictures and objects by size over all splits."""
    objects, totals = defaultdict(Counter), defaultdict(Counter)
    for split, values in numbers.items():
        for name, row in values["classes"].items():
            objects[name][split] = row["objects"]
            totals[name].update(row)
    names = sorted(totals, key=lambda name: -totals[name]["objects"])
    splits, sizes = list(numbers)[:SPLITS_SHOWN], ("pictures", "small", "medium", "large")
    table = number_table("class", *splits, *sizes, no_wrap=True)
    for name in names[:CLASSES_SHOWN]:
        cells = [objects[name][split] for split in splits] + [totals[name][key] for key in sizes]
        table.add_row(name, *map(str, cells))
    if len(names) > CLASSES_SHOWN:
        table.add_row(f"and {len(names) - CLASSES_SHOWN} more")
    return table


def _expressible(numbers: Mapping[str, dict]) -> Table:
    table = number_table("", *numbers, no_wrap=True)
    rows = {
        "vanished": "less than a pixel high or wide",
        "under_a_cell": f"less than a cell ({STRIDE} pixels) high or wide",
        "shared": "in the cell of another object",
        "beyond_the_best": f"beyond the best {MOST_DETECTIONS} of their picture",
        "AP": "AP of the truth, encoded and decoded again",
        "AP50": "AP50 of it",
    }
    table.add_row("objects", *(str(values["objects"]) for values in numbers.values()))
    for key, title in rows.items():
        table.add_row(title, *(_number(values["expressible"][key]) for values in numbers.values()))
    return table


def _number(value: float | None) -> str:
    if value is None:  # there is no object to find
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
