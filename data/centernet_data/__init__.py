"""Data without a framework: readers, transforms, batches, average precision, drawing. numpy in, numpy out."""

__version__ = "0.1.0"
