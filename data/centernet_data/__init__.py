"""Data without a framework: readers, transforms, batches, average precision, drawing. numpy in, numpy out.

A *picture* is of any size, as its file has it; an *image* is of the network's input size.
"""

__version__ = "0.1.0"
