"""The amount of arithmetic per picture, counted once for both backends.

It is that of the convolutions as torch has them, two operations for a multiplication and an addition: those of the
forward pass and, in training, of both gradients. An implementation may use an algorithm that needs fewer.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

import centernet_torch
from parity.bench.task import Task


def flop_per_image(task: Task, part: str) -> int:
    """Operations of `part` ("forward" or "training") per picture, counted without computing anything."""
    model = centernet_torch.create_model(task.config).to("meta")
    image = torch.empty(1, 3, *task.image_size, device="meta")
    with FlopCounterMode(display=False) as counter:
        points = model.train(part == "training")(image, return_logits=True)
        if part == "training":
            points.sum().backward()
    return counter.get_total_flops()
