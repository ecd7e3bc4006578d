"""What a model finds: evaluated on a data set, or drawn into pictures and written down."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
from jaxtyping import Float

from centernet.backends import open_backend
from centernet.config import Eval, Predict
from centernet.training.run_folder import write_picture, write_text
from centernet_data.evaluation import evaluate, report, without_nan
from centernet_data.imaging.decoding import find_pictures, read_image
from centernet_data.imaging.drawing import draw_objects
from centernet_data.readers.json_records import coco_bbox
from centernet_data.source import open_for_model


def run_eval(config: Eval) -> dict:
    """Prints the average precision of a model, and writes it to a file if asked. ValueError for bad input."""
    if config.json and not config.json.parent.is_dir():
        raise ValueError(f"{config.json}: its folder does not exist")
    detector = open_backend(config.backend).load(config.model, config.flip_test, config.precision)
    dataset = open_for_model(config.data, config.split, detector.config.classes, config.model)
    results = evaluate(lambda pictures: detector(pictures, 0.0), dataset)
    print(report(results))
    if config.json:
        write_text(config.json, json.dumps(without_nan(results), indent=2) + "\n")
    return results


def run_predict(config: Predict) -> list[dict]:
    """Draws the detections into each picture, and writes them all to detections.json. ValueError for bad input."""
    if not 0 <= config.min_confidence <= 1:
        raise ValueError(f"--min-confidence must be between 0 and 1, not {config.min_confidence}")
    paths = find_pictures(config.pictures)
    if not paths:
        raise ValueError("no picture is given to look at")
    targets = drawn_paths(paths, config.out)
    for path in paths:  # decoded twice, so that a damaged picture is found before anything is written
        read_image(path)
    detector = open_backend(config.backend).load(config.model, config.flip_test, config.precision)
    config.out.mkdir(parents=True, exist_ok=True)
    records = []
    for path, target in zip(paths, targets, strict=True):
        picture = read_image(path)
        (objects,) = detector([picture], config.min_confidence)
        write_picture(target, draw_objects(picture, objects, detector.config.classes))
        records += detection_records(str(path), objects, detector.config.classes)
        print(f"{path}: {len(objects)} found")
    write_text(config.out / "detections.json", json.dumps(records, indent=1) + "\n")
    print(f"drawn pictures and detections.json are in {config.out}")
    return records


def drawn_paths(paths: list[Path], out: Path) -> list[Path]:
    """Where each drawn picture goes: JPEG stays JPEG, all else becomes PNG. ValueError if two would be one file."""
    targets = [out / (p.name if p.suffix.lower() in (".jpg", ".jpeg") else p.stem + ".png") for p in paths]
    doubled = [target for target, count in Counter(targets).items() if count > 1]
    if doubled:
        both = [str(p) for p, target in zip(paths, targets, strict=True) if target == doubled[0]]
        raise ValueError(f"{both[0]} and {both[1]} would both be drawn to {doubled[0]}; give them to separate runs")
    same = [p for p, target in zip(paths, targets, strict=True) if p.resolve() == target.resolve()]
    if same:
        raise ValueError(f"{same[0]}: would be overwritten by the drawn picture; choose another --out")
    return targets


def detection_records(file_name: str, objects: Float[np.ndarray, "n 6"], classes: tuple[str, ...]) -> list[dict]:
    """One record a detection; the box as x, y, width, height in the picture's own pixels, from its top left."""
    records = []
    for row in objects.tolist():
        box, name = [round(value, 2) for value in coco_bbox(row)], classes[int(row[4])]
        records.append({"file_name": file_name, "box": box, "class": name, "score": round(row[5], 4)})
    return records
