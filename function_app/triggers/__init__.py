"""Functions that a blob, a queue message or the clock starts."""
