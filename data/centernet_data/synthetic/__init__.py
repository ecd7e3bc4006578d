"""Built-in data sets, rendered on demand: shapes and scene text."""
