"""`centernet train`."""

from dataclasses import dataclass

from centernet.training.settings import Settings


@dataclass(frozen=True)
class Train(Settings):
    """Train a detector, evaluate it on the validation split, and save both in a folder.

    Without options it learns the built-in rendered shapes, in at most five minutes on two CPU cores. For your own
    pictures give --data, a larger input and a longer run, for example --image-size 256 --depth 34 --epochs 100.
    """

    def run(self) -> int:
        """Trains. Raises ValueError, before anything is written, for bad settings or data."""
        from centernet.training.loop import train

        train(self)
        return 0
