"""How much arithmetic a picture takes: the one place that counts it, for both sides alike.

Counted are the convolutions of the torch form (a multiplication with its addition is two operations), forward, and for
training those of both gradients too: what any implementation has to do in a direct way, whatever it does in fact.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

import centernet_torch
from parity.bench.task import Task


def flop_per_image(task: Task, part: str) -> int:
    """Operations of `part` ("forward" or "training"), counted without computing anything."""
    model = centernet_torch.create_model(task.config).to("meta")
    image = torch.empty(1, 3, *task.image_size, device="meta")
    with FlopCounterMode(display=False) as counter:
        points = model.train(part == "training")(image, return_logits=True)
        if part == "training":
            points.sum().backward()
    return counter.get_total_flops()
