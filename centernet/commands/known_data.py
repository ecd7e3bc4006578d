"""The data sets that `centernet data fetch` knows: where they are, under which terms, and their TOML files."""

from dataclasses import dataclass

from centernet.download import Remote


@dataclass(frozen=True)
class Archive:
    """An archive, and the new folder that gets what is below its folder `inside` ("": all of it)."""

    remote: Remote
    inside: str
    folder: str


@dataclass(frozen=True)
class KnownData:
    """A data set: its archives, or the COCO file in the package `centernet_data` that names its single pictures; the
    terms of use; its TOML file; the options of `centernet train` that suit it."""

    title: str
    terms: str
    toml: str
    options: str
    archives: tuple[Archive, ...] = ()
    pictures_of: str | None = None


_COCO = "http://images.cocodataset.org"
_COCO_TERMS = (
    "annotations: COCO Consortium, CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/); "
    "photographs: Flickr's terms of use and each one's own licence (https://cocodataset.org/#termsofuse)"
)
# Sizes and SHA-256 of COCO's archives: tensorflow-datasets, url_checksums/coco.txt.
_TRAIN_2017 = Remote(
    f"{_COCO}/zips/train2017.zip",
    "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
    19_336_861_798,
)
_VAL_2017 = Remote(
    f"{_COCO}/zips/val2017.zip",
    "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
    815_585_330,
)
_BOXES_2017 = Remote(
    f"{_COCO}/annotations/annotations_trainval2017.zip",
    "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
    252_907_541,
)
_TRAIN_2014 = Remote(
    f"{_COCO}/zips/train2014.zip",
    "ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
    13_510_573_713,
)
_WORDS = Remote(  # SHA-256: keras-ocr, datasets.py
    "https://github.com/bgshih/cocotext/releases/download/dl/cocotext.v2.zip",
    "1444893ce7dbcd8419b2ec9be6beb0dba9cf8a43bf36cab4293d5ba6cecb7fb1",
)
# VOC's SHA-256: torchvision, prototype/datasets/_builtin/voc.py, and with the sizes tensorflow-datasets,
# url_checksums/voc.txt.
_VOC = "http://host.robots.ox.ac.uk/pascal/VOC/voc2007"
_VOC_TRAINVAL = Remote(
    f"{_VOC}/VOCtrainval_06-Nov-2007.tar",
    "7d8cd951101b0957ddfd7a530bdc8a94f06121cfc1e511bb5937e973020c7508",
    460_032_000,
)
_VOC_TEST = Remote(
    f"{_VOC}/VOCtest_06-Nov-2007.tar",
    "6836888e2e01dca84577a849d339fa4f73e1e4f135d312430c4856b5609b4892",
    451_020_800,
)
# GitHub packs archives when they are asked for, and their bytes may change: no hash. The commit fixes the content.
_BCCD_COMMIT = "135df0221baca7b51c18190791522ddeba8fddbf"
_BCCD = Remote(f"https://github.com/Shenggan/BCCD_Dataset/archive/{_BCCD_COMMIT}.zip")

KNOWN_DATA = {
    "tiny_coco": KnownData(
        title="16 photographs of COCO train2017",
        terms=_COCO_TERMS,
        toml="""format = "coco"
classes = ["person"]  # without this line all 80
[train]
images = "images"
annotations = "instances.json"
""",
        options="--preset tiny_coco",
        pictures_of="tiny_coco.json",
    ),
    "coco": KnownData(
        title="COCO 2017: 118,287 pictures to train on and 5,000 to validate",
        terms=_COCO_TERMS,
        toml="""format = "coco"
[train]
images = "train2017"
annotations = "annotations/instances_train2017.json"
[val]
images = "val2017"
annotations = "annotations/instances_val2017.json"
""",
        options="--preset coco",
        archives=(
            Archive(_BOXES_2017, "annotations/", "annotations"),
            Archive(_VAL_2017, "val2017/", "val2017"),
            Archive(_TRAIN_2017, "train2017/", "train2017"),
        ),
    ),
    "voc": KnownData(
        title="Pascal VOC 2007: trainval to train on and test to validate",
        terms="photographs: Flickr's terms of use, see http://host.robots.ox.ac.uk/pascal/VOC/voc2007/",
        toml="""format = "voc"
[train]
root = "VOC2007-trainval"
split = "trainval"
[val]
root = "VOC2007-test"
split = "test"
""",
        options="--preset voc",
        archives=(
            Archive(_VOC_TRAINVAL, "VOCdevkit/VOC2007/", "VOC2007-trainval"),
            Archive(_VOC_TEST, "VOCdevkit/VOC2007/", "VOC2007-test"),
        ),
    ),
    "cocotext": KnownData(
        title="COCO-Text, version 2: words in photographs of COCO train2014",
        terms=_COCO_TERMS,
        toml="""format = "cocotext"
[train]
images = "train2014"
annotations = "words/cocotext.v2.json"
split = "train"
[val]
images = "train2014"
annotations = "words/cocotext.v2.json"
split = "val"
""",
        options="--preset cocotext",
        archives=(Archive(_WORDS, "", "words"), Archive(_TRAIN_2014, "train2014/", "train2014")),
    ),
    "bccd": KnownData(
        title="BCCD: 364 blood smears with red and white cells and platelets",
        terms="MIT licence, Shenggan and others (https://github.com/Shenggan/BCCD_Dataset)",
        toml="""format = "voc"
[train]
root = "BCCD"
split = "train"
[val]
root = "BCCD"
split = "val"
""",
        options="--image-size 256 --depth 34 --epochs 85",
        archives=(Archive(_BCCD, f"BCCD_Dataset-{_BCCD_COMMIT}/BCCD/", "BCCD"),),
    ),
}
