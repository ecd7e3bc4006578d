"""`centernet data check`."""

from dataclasses import dataclass
from pathlib import Path

from centernet.options import (
    DataName,
    ImageSize,
    OutputFile,
    Overwrite,
    ValGroupOption,
    ValShareOption,
    height_and_width,
    require_image_size,
)
from centernet.terminal import Failures, PlainConsole
from centernet_data.contract.authors import require_writable
from centernet_data.contract.checks import refuse, require
from centernet_data.contract.files import write_json
from centernet_data.contract.model_config import Resize
from centernet_data.contract.val_share import check_val_share

AUTHOR = "centernet data check"


@dataclass(frozen=True)
class Check:
    """Check a data set record by record, and measure how much of it the network can express.

    Prints numbers and findings, and draws a sheet of pictures with their boxes, the most suspicious first. Exits with
    status 1 if there are errors: data that training would refuse, or that would make its result meaningless; also if
    the sheet or the file of --json cannot be written.
    """

    data: DataName
    image_size: ImageSize = (256,)
    """Size of the network's input in pixels, one number for a square; multiples of 32."""
    val_share: ValShareOption = None
    """Where there is no validation split: the share of pictures to validate on, as training will be told."""
    val_group: ValGroupOption = None
    """As training will be told."""
    resize: Resize = "letterbox"
    """How pictures are fitted into it: letterbox keeps their aspect ratio, stretch does not."""
    out: Path = Path("check.png")
    """File for the sheet of pictures, .png or .jpg."""
    json: OutputFile = None
    """Also write all numbers and all findings to this file."""
    overwrite: Overwrite = False
    seed: int = 0
    """Seed for choosing the pictures without findings that fill the sheet."""

    def __post_init__(self):
        require_image_size(self.image_size)
        check_val_share(self.val_share, self.val_group)
        require("seed", self.seed, self.seed >= 0, "at least 0")
        if self.out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
            refuse(f"{self.out}: the sheet of pictures must be a .png or .jpg file")
        if self.out == self.json:
            refuse(f"{self.out}: --out and --json cannot be the same file")

    def run(self) -> int:
        """Prints, draws and writes. Returns 1 if the data set has errors. Raises ValueError if it is none at all."""
        from centernet.commands import check_report as report
        from centernet_data.doctor.audit import audit
        from centernet_data.doctor.sheet import draw_sheet
        from centernet_data.imaging.encoding import write_picture
        from centernet_data.source import how_data_is_taken

        for path, option in ((self.out, "--out"), (self.json, "--json")):
            require_writable(path, AUTHOR, self.overwrite, option)
        console, hw, failures = PlainConsole(), height_and_width(self.image_size), Failures()
        if how_taken := how_data_is_taken(self.data):
            report.say(console, how_taken)
        val_share = check_val_share(self.val_share, self.val_group)
        audited = audit(self.data, hw, self.resize, report.progress_on(console), val_share)
        report.print_report(audited, hw, self.resize, console)
        with failures.said():
            write_picture(self.out, draw_sheet(audited.splits, audited.findings, self.seed), AUTHOR)
            report.say(console, f"pictures with their boxes, the most suspicious first: {self.out}")
        if self.json:
            with failures.said():
                write_json(self.json, report.as_json(audited, self.data, hw, self.resize), AUTHOR, indent=1)
        return int(failures.count > 0 or any(finding.severity == "error" for finding in audited.findings))
