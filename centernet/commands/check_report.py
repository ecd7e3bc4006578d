"""What people see of a data set's check: a page of tables for the terminal, and a sheet of pictures."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from centernet.config import Check
from centernet.tables import number_table
from centernet_data.dataset import PictureDataset
from centernet_data.doctor.expressible import CELL, OBJECTS_PER_PICTURE
from centernet_data.doctor.findings import SEVERITIES, Finding, Split
from centernet_data.imaging.decoding import read_image
from centernet_data.imaging.drawing import Tile, contact_sheet

CLASSES_SHOWN = 15
FINDINGS_SHOWN = {"error": 10, "warning": 4, "note": 4}  # of each kind
PICTURES_SHOWN = 24
WEIGHTS = {"error": 100, "warning": 10, "note": 0}  # by which a picture with such a finding is suspicious
COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def print_report(console: Console, config: Check, numbers: dict[str, dict], findings: Sequence[Finding]) -> None:
    """The page: numbers by split, by class and of what the network can express, then the findings by their kind."""
    if numbers:
        size = f"{config.hw[1]} x {config.hw[0]}, {config.resize}"
        for title, table in (
            ("Pictures and objects (small: below 32² pixels, large: from 96² on)", _overview(numbers)),
            ("Objects by class", _classes(numbers)),
            (f"What a perfect network could say at an input of {size}", _expressible(numbers)),
        ):
            console.print(f"\n[bold]{title}[/]", table, sep="\n", highlight=False)
    if notes := [f"{name}: {note}" for name, values in numbers.items() for note in values["notes"]]:
        _line(console, "\n" + "\n".join(notes))
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
    console.print(escape(text), highlight=False, soft_wrap=True)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _overview(numbers: dict[str, dict]) -> Table:
    keys = ("pictures", "without_objects", "objects", "small", "medium", "large", "ignored")
    table = number_table("split", *_spoken(keys), no_wrap=True)
    for name, values in numbers.items():
        table.add_row(escape(name), *(str(values[key]) for key in keys))
    return table


def _spoken(keys: Sequence[str]) -> list[str]:
    return [key.replace("_", " ") for key in keys]


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
    table = number_table("", *map(escape, numbers), no_wrap=True)
    rows = {
        "objects": "objects",
        "vanished": "less than a pixel high or wide",
        "under_a_cell": f"less than a cell ({CELL} pixels) high or wide",
        "shared": "in the cell of another object",
        "beyond_the_best": f"past the best {OBJECTS_PER_PICTURE} of their picture",
        "AP": "AP of the truth, encoded and decoded again",
        "AP50": "AP50 of it",
    }
    for key, title in rows.items():
        cells = [values[key] if key == "objects" else values["expressible"][key] for values in numbers.values()]
        table.add_row(title, *map(_shown, cells))
    return table


def _shown(value: float | None) -> str:
    if value is None:  # there is no truth
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def draw_sheet(splits: Sequence[Split], findings: Sequence[Finding], seed: int) -> Image.Image:
    """Small pictures with their boxes: the most suspicious first, then others drawn by the seed."""
    kinds = defaultdict(Counter)
    for finding in findings:
        if finding.picture is not None:
            kinds[finding.split, finding.picture][finding.severity, finding.kind] += 1
    by_name = {split.name: split for split in splits}
    places = _chosen([(split.name, index) for split in splits for index in range(len(split.samples))], kinds, seed)
    return contact_sheet([_tile(by_name[name], index, kinds[name, index]) for name, index in places])


def _chosen(places: Sequence[tuple[str, int]], kinds: dict, seed: int) -> list[tuple[str, int]]:
    def suspicion(place: tuple[str, int]) -> int:
        return sum(WEIGHTS[severity] for severity, _ in kinds.get(place, ()))

    order = np.random.default_rng(seed).permutation(len(places))
    suspicious = sorted((place for place in places if suspicion(place)), key=suspicion, reverse=True)
    others = [places[index] for index in order if not suspicion(places[index])]
    return [*suspicious, *others][:PICTURES_SHOWN]


def _tile(split: Split, index: int, kinds: Counter) -> Tile:
    sample, dataset = split.samples[index], split.dataset
    what = ", ".join(kind if count == 1 else f"{kind} ({count})" for (_, kind), count in kinds.items())
    try:
        # By its path, a picture of another size than annotated can be shown too.
        from_file = isinstance(dataset, PictureDataset)
        image = read_image(dataset.paths[index]) if from_file else dataset.image(index)
    except ValueError:  # a finding says why
        image = None
    objects = np.concatenate([sample.objects, sample.ignored])
    return image, objects, dataset.classes, f"{split.name}: {sample.name}", what
