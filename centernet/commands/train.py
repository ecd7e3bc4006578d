"""`centernet train`."""

from dataclasses import dataclass

from centernet.terminal import complain
from centernet.training.settings import Settings


@dataclass(frozen=True)
class Train(Settings):
    """Train a detector, evaluate it on the validation split, and save both in a folder.

    Without options it learns the built-in rendered shapes, in at most five minutes on two CPU cores. For your own
    pictures give --data, a larger input and a longer run, for example --image-size 256 --depth 34 --epochs 100.
    """

    def run(self) -> int:
        """Trains. Returns 1 if something failed after the model was saved. Raises ValueError, before anything is
        written, for bad settings or data."""
        from centernet.training.loop import NotAllDone, train

        try:
            train(self)
        except NotAllDone as error:
            complain(str(error))
            return 1
        return 0
