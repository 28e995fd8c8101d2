"""The default engine, for chest CT."""
