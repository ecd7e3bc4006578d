"""What the doctor says of odd picture files."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centernet_data.doctor.audit import audit
from centernet_data.imaging.decoding import decode_picture, exif_orientation, read_picture
from centernet_data.source import open_dataset
from centernet_data.verification.verify import verify_pictures
from helpers.coco import box, coco, write_json, write_toml
from helpers.pictures import noise
from helpers.voc import TOML, item, write_voc, xml


def found(data):
    return [(finding.kind, finding.message) for finding in audit(str(data), (64, 64), "letterbox").findings]


def one_picture(tmp_path, image, **options):
    """A data set of one PNG."""
    (tmp_path / "images").mkdir()
    image.save(tmp_path / "images/a.png", **options)
    boxes = [box(0, 0, 1, 1, 20, 20), box(0, 1, 25, 25, 20, 20)]
    write_json(tmp_path / "train.json", coco({"a.png": (64, 64)}, boxes))
    return write_toml(tmp_path / "data.toml", {"train": "train.json"})


SHORT, TEXT, FRACTION, SIGNED = b"\0\3", b"\0\2", b"\0\5", b"\0\x09"  # EXIF's types


@pytest.mark.parametrize(
    ("kind", "value"),
    [(SHORT, b"\0\0\0\0"), (SHORT, b"\0\1\0\0"), (SHORT, b"\0\x09\0\0"), (SHORT, b"\xff\xff\0\0"), (TEXT, b"6\0\0\0"),
     (SIGNED, b"\xff\xff\xff\xff"), (FRACTION, b"\0\0\0\x08")],
)  # fmt: skip
def test_an_unknown_orientation_is_upright(tmp_path, kind, value):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12" + kind + b"\0\0\0\1" + value + bytes(4)
    data = one_picture(tmp_path, Image.fromarray(noise(64, 64)), exif=exif)
    assert found(data) == []
    assert exif_orientation((tmp_path / "images/a.png").read_bytes()) == 1


@pytest.mark.parametrize(("bits", "factor"), [(8, 256), (10, 64), (12, 16), (14, 4), (16, None)])
def test_levels_that_use_few_of_16_bits_are_said(tmp_path, bits, factor):
    levels = np.random.default_rng(0).integers(0, 2**bits, (64, 64)).astype(np.uint16)
    levels[0, 0] = 2**bits - 1
    data = one_picture(tmp_path, Image.fromarray(levels))
    notes = verify_pictures(open_dataset(data, "train")).notes
    if factor is None:
        assert (found(data), notes) == ([], ())
        read_picture(tmp_path / "images/a.png")
        return
    ((kind, message),) = found(data)
    assert kind == "dark 16-bit picture"
    assert f"a.png: its 16-bit levels end at {2**bits - 1} of 65535" in message
    assert f"(by {factor})" in message
    assert notes[0].startswith("pictures of 16-bit grey that are dark: 1; the first: a.png: ")
    with pytest.warns(UserWarning, match=r"a\.png: its 16-bit levels end"):
        read_picture(tmp_path / "images/a.png")
    with pytest.raises(ValueError, match=r"^.*a\.png: the picture cannot be decoded: .*its 16-bit levels end"):
        read_picture(tmp_path / "images/a.png")


@pytest.mark.parametrize("level", [0, 65535])
def test_a_black_or_white_picture_of_16_bits_is_no_surprise(tmp_path, level):
    assert found(one_picture(tmp_path, Image.fromarray(np.full((64, 64), level, np.uint16)))) == []


def test_pictures_of_one_name_are_told_apart(tmp_path):
    texts = {name: xml(item("dog", 1, 1, 9, 9), item("cat", 15, 9, 25, 18)) for name in "abc"}
    write_voc(tmp_path, texts)
    (tmp_path / "data.toml").write_text(TOML)
    for name in "bc":
        (tmp_path / f"JPEGImages/{name}.jpg").write_bytes((tmp_path / "JPEGImages/a.jpg").read_bytes())
        for folder, suffix in (("JPEGImages", "jpg"), ("Annotations", "xml")):
            (tmp_path / folder / name).mkdir()
            (tmp_path / folder / f"{name}.{suffix}").rename(tmp_path / folder / name / f"a.{suffix}")
    (tmp_path / "ImageSets/Main/train.txt").write_text("a\nb/a\nc/a\n")
    assert [message for _, message in found(tmp_path / "data.toml")] == [
        "[train] b/a.jpg: the same pixels as [train] a.jpg",
        "[train] c/a.jpg: the same pixels as [train] a.jpg",
    ]


def test_one_file_listed_twice(tmp_path):
    data = one_picture(tmp_path, Image.fromarray(noise(64, 64)))
    content = coco({"a.png": (64, 64)}, [box(0, 0, 1, 1, 20, 20), box(0, 1, 25, 25, 20, 20)])
    content["images"].append({**content["images"][0], "id": 5})
    write_json(tmp_path / "train.json", content)
    assert [message for _, message in found(data)] == [
        "[train] a.png (picture 2): the same pixels as [train] a.png (picture 1)"
    ]


@pytest.mark.parametrize("filters", ["error", "default"])
def test_a_very_large_picture_is_named(tmp_path, monkeypatch, filters):
    content = (one_picture(tmp_path, Image.fromarray(noise(64, 64))).parent / "images/a.png").read_bytes()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(filters)
        if filters == "error":
            with pytest.raises(ValueError, match=r"^a\.png: the picture is too large: Image size .4096"):
                decode_picture(content, Path("a.png"))
        else:
            decode_picture(content, Path("a.png"))
            assert str(caught[-1].message) == "a.png: a very large picture, 64 x 64 pixels"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    with pytest.raises(ValueError, match=r"^a\.png: the picture is too large: Image size .* pixels$"):
        decode_picture(content, Path("a.png"))
