"""The only files that import an outside system's SDK."""
