"""Data sets by the protocol alone: no reader, no files."""

from dataclasses import dataclass

import numpy as np

from centernet_data.dataset import Sample


class InNoFiles:
    """What every `Dataset` has and no test is about: subclasses add classes, samples and pictures."""

    notes, annotated = (), ()

    def content(self, index):
        return None


@dataclass(frozen=True)
class Plain(InNoFiles):
    """Pictures of one grey each, by which they are recognised; the objects of picture i are `objects[i]`."""

    objects: tuple = ((), ((8, 12, 6, 4, 0, 1), (10, 5, 4, 8, 1, 1)), ((15, 20, 20, 30, 1, 1),), (), ())
    height: int = 30
    width: int = 40
    classes: tuple[str, ...] = ("a", "b")
    names: tuple[str, ...] = ()  # "0.png", "1.png", ... if there are none

    @property
    def most_objects(self):
        return max(map(len, self.objects))

    def __len__(self):
        return len(self.objects)

    def sample(self, index):
        rows = np.array(self.objects[index], float).reshape(-1, 6)
        name = self.names[index] if self.names else f"{index}.png"
        return Sample(name, self.height, self.width, rows, rows[:, 2] * rows[:, 3], np.zeros((0, 6)))

    def picture(self, index, reduction=1):
        return np.full((-(-self.height // reduction), -(-self.width // reduction), 3), grey(index), np.uint8)


def grey(index):
    """The grey of Plain's picture."""
    return 20 + 10 * index
