"""The performance tables: what `readfirst bench` measures, and the fixtures that it measures with. Not in the wheel."""
