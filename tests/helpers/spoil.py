"""Functions that damage the data set of `small_data` in one place."""

from helpers.json_changes import change_json


def spoil_json(change):
    """A function that changes the content of boxes.json in a folder."""
    return lambda folder: change_json(folder / "boxes.json", change)


def spoil_picture(change):
    def spoil(folder):
        path = folder / "images" / "1.png"
        path.write_bytes(change(path.read_bytes()))

    return spoil


def spoil_toml(old, new):
    def spoil(folder):
        path = folder / "data.toml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return spoil


def no_pictures(content):
    content.update(images=[], annotations=[])
