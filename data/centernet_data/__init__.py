"""Data without a framework: readers, transforms, batches, average precision, drawing. numpy in, numpy out."""
