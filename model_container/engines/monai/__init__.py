"""MONAI bundles, each in a process of its own."""
