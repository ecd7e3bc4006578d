"""Draws a sheet of a data set's pictures with their boxes, the most suspicious first."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from PIL import Image

from centernet_data.doctor.findings import Finding, Split
from centernet_data.imaging.decoding import decode_picture
from centernet_data.imaging.pages import Tile, contact_sheet

PICTURES_SHOWN = 24
WEIGHTS = {"error": 100, "warning": 10, "note": 0}  # how suspicious each finding makes its picture


def draw_sheet(splits: Sequence[Split], findings: Sequence[Finding], seed: int) -> Image.Image:
    """Draws small pictures with their boxes: the most suspicious first, then others chosen at random by `seed`."""
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
        content = dataset.content(index)  # decoded here, so that pictures not of their annotated size are shown too
        picture = dataset.picture(index) if content is None else decode_picture(content, sample.name)
    except ValueError:  # a finding gives the reason
        picture = None
    objects = np.concatenate([sample.objects, sample.ignored])
    return picture, objects, dataset.classes, f"{split.name}: {sample.name}", what
