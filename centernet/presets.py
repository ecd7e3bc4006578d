"""Settings of `centernet train` for known data sets, and the sources of their numbers."""

from dataclasses import dataclass, replace

from centernet.commands.train import Train
from centernet_data.contract.recipe import RecipeOptions


@dataclass(frozen=True)
class Preset:
    """A run's settings, the source of their numbers, the whole command, and the average precision to expect."""

    settings: Train
    source: str
    command: str
    expected: str

    @property
    def description(self) -> str:
        """What `--help` says about it."""
        return "\n\n".join((self.command, f"The numbers are {self.source}.", f"Expected: {self.expected}."))


# As the authors train: no warm-up, no average of the weights, and no weight decay, which makes AdamW the Adam they use.
_AUTHORS = RecipeOptions(warmup=0.0, schedule="drops", weight_decay=0.0, ema_decay=0.0)

_TINY_COCO = Preset(
    Train(
        preset="tiny_coco",
        data="data/tiny_coco/tiny_coco.toml",
        image_size=(256,),
        depth=34,
        epochs=200,
        augment=False,
    ),
    source="ours, for a network to learn 16 photographs by heart",
    command="centernet train --preset tiny_coco --data data/tiny_coco/tiny_coco.toml",
    expected="AP 0.964 on the same 16 with the class person alone, measured with --ema-decay 0",
)
_COCO = Preset(
    Train(
        preset="coco",
        data="coco.toml",
        image_size=(512,),
        epochs=140,
        batch_size=128,
        depth=34,
        evaluate_every=5,
        recipe=replace(_AUTHORS, learning_rate=5e-4),
    ),
    source="the authors': section 5 of the paper, ctdet_coco_resdcn18.sh and opts.py",
    command="centernet train --preset coco --data coco.toml --pretrained resnet34.pth",
    expected="not run here; the authors' ResNet-18 with deformable convolutions has AP 0.281, with --flip-test 0.300",
)
_VOC = Preset(
    Train(
        preset="voc",
        data="voc.toml",
        image_size=(384,),
        epochs=70,
        batch_size=32,
        depth=34,
        evaluate_every=5,
        flip_test=True,
        recipe=replace(_AUTHORS, learning_rate=1.25e-4),
    ),
    source="the authors': appendix D of the paper, ctdet_pascal_resdcn18_384.sh and opts.py",
    command="centernet train --preset voc --data voc.toml --pretrained resnet34.pth",
    expected="not run here; the authors' ResNet-18 with deformable convolutions, trained on trainval of 2007 and 2012, "
    "has 0.726 by VOC's own measure, the nearest to which is AP50",
)
_COCOTEXT = Preset(
    Train(
        preset="cocotext",
        data="cocotext.toml",
        image_size=(512,),
        depth=34,
        epochs=50,
        batch_size=32,
        evaluate_every=5,
    ),
    source="ours, and not tuned: an input in which small words have some cells, else the defaults",
    command="centernet train --preset cocotext --data cocotext.toml --pretrained resnet34.pth",
    expected="not run here; the nearest that was: AP 0.471 on scene-text, ResNet-18, 256 x 256",
)

PRESETS = {preset.settings.preset: preset for preset in (_TINY_COCO, _COCO, _VOC, _COCOTEXT)}
