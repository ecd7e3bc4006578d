"""Data sets that are rendered here: shapes and scene text."""
