"""Data sets in the folders of Pascal VOC."""

from PIL import Image

SIZE = "<size><width>30</width><height>20</height><depth>3</depth></size>"
TOML = 'format = "voc"\n[train]\nroot = "."\nsplit = "train"\n'


def item(name, *corners, extra=""):
    """An <object> from xmin, ymin, xmax and ymax."""
    sides = "".join(f"<{s}>{c}</{s}>" for s, c in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
    return f"<object><name>{name}</name>{extra}<bndbox>{sides}</bndbox></object>"


def xml(*items, size=SIZE, filename=""):
    """An annotation file's content."""
    return f"<annotation>{filename}{size}{''.join(items)}</annotation>"


def write_voc(root, annotations, split="train"):
    """A VOC folder in which `annotations` (name -> XML, or None for no file) are all in `split`. The pictures are
    30 x 20 pixels, each of another colour."""
    for folder in ("ImageSets/Main", "Annotations", "JPEGImages"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number, (name, text) in enumerate(annotations.items(), start=1):
        Image.new("RGB", (30, 20), (40 * number, 0, 0)).save(root / f"JPEGImages/{name}.jpg")
        if text is not None:
            (root / f"Annotations/{name}.xml").write_text(text)
    (root / f"ImageSets/Main/{split}.txt").write_text("".join(f"{name}\n" for name in annotations))
    return root
