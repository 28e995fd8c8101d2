"""Use cases that call several gateways. Each is a module named after what it does."""
