"""`centernet eval`."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from centernet.options import BackendName, ModelFile, OutputFile, Overwrite, ValGroupOption, ValShareOption
from centernet.terminal import say
from centernet_data.contract.authors import require_writable
from centernet_data.contract.files import write_json
from centernet_data.contract.precision import Device, Precision
from centernet_data.contract.val_share import check_val_share


@dataclass(frozen=True)
class Eval:
    """Print a model's average precision on a data set: over all classes and for each class."""

    model: ModelFile
    data: Annotated[str, tyro.conf.arg(metavar="DATA")] = "shapes"
    """A folder in a known layout, a file that describes a data set, or one's name, with the classes of the model."""
    split: str = "val"
    """Section of the data set."""
    val_share: ValShareOption = None
    """The share of the pictures that training validated on, if it was told one."""
    val_group: ValGroupOption = None
    """As training was told."""
    flip_test: bool = False
    """Also look at each picture's mirror image and average heatmaps and sizes; takes twice as long."""
    precision: Precision = "float32"
    """Precision of the network; bfloat16 is for accelerators. Boxes and scores are always float32."""
    json: OutputFile = None
    """Also write the numbers to this file."""
    overwrite: Overwrite = False
    device: Device | None = None
    """Device to run on: cpu or gpu. By default an accelerator if there is one."""
    backend: BackendName = "jax"
    """Backend that runs the model."""

    def __post_init__(self):
        check_val_share(self.val_share, self.val_group)

    def run(self) -> int:
        """Evaluates, prints and writes. Raises ValueError for bad input."""
        from centernet.backends import open_backend
        from centernet_data.evaluation import evaluate, report, without_nan
        from centernet_data.source import how_data_is_taken, open_for_model

        require_writable(self.json, "centernet eval", self.overwrite, "--json")
        if how_taken := how_data_is_taken(self.data):
            say(how_taken)
        val_share = check_val_share(self.val_share, self.val_group)
        detector = open_backend(self.backend).load(self.model, self.flip_test, self.precision, self.device)
        dataset = open_for_model(self.data, self.split, detector.config.classes, self.model, val_share)
        results = evaluate(lambda pictures: detector(pictures, 0.0), dataset)
        say(report(results))
        if self.json:
            write_json(self.json, without_nan(results), "centernet eval")
        return 0
