"""How much processor time batches take, of the process that asks for them and of those that make them.

    python tests/processor_time_of_batches.py mine.toml --image-size 512

Unlike pictures per second it says the same on a machine that others use too, and how many cores a rate takes: cores =
pictures per second x milliseconds / 1000. "copying" is the first process's part when batches cost nothing to make; as
one process does it, it is the highest rate at which worker processes can be used.
"""

import argparse
import gc
import resource
import time

from centernet_data.batches import Batches
from centernet_data.contract.augmentation import Augmentation
from centernet_data.source import open_dataset

FEW, MANY = 10, 70  # batches; starting the processes takes as much for both


class Ready(Batches):
    """The first batch, made once by each process, instead of all."""

    def __getitem__(self, step):
        if "made" not in self.__dict__:
            self.__dict__["made"] = super().__getitem__(0)
        return self.__dict__["made"]


def seconds_used(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def use(batches, count, workers):
    """Asks for that many batches. Returns the processor seconds of this process and of ended workers."""
    before = [seconds_used(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    made = batches.prefetched(0, count, workers)
    for _ in made:
        pass
    del made
    gc.collect()
    time.sleep(0.5)  # until the workers have ended
    after = [seconds_used(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return [b - a for a, b in zip(before, after, strict=True)]


def milliseconds(batches, workers):
    """Processor time per picture, of this process and of workers."""
    few, many = use(batches, FEW, workers), use(batches, MANY, workers)
    pictures = (MANY - FEW) * batches.batch_size
    return [1e3 * (b - a) / pictures for a, b in zip(few, many, strict=True)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--image-size", type=int, default=512)
    options = parser.parse_args()
    given = (open_dataset(options.data, "train"), 16, (options.image_size,) * 2, "letterbox", Augmentation(), 0)
    use(Batches(*given), 1, workers=0)  # imports what is needed
    threads = milliseconds(Batches(*given), 0)[0]
    print(f"threads: {threads:.2f} ms of processor time per picture")
    print(f"a worker process: {milliseconds(Batches(*given), 1)[1]:.2f}")
    copying = milliseconds(Ready(*given), 1)[0]
    print(f"copying from workers: {copying:.2f}, at most {1e3 / copying:,.0f} pictures/s")


if __name__ == "__main__":
    main()
