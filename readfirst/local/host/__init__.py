"""The embedded host: runs the very same `main.app` as `func start`, from PyPI packages alone.

It is a local stand-in for the Azure Functions host and the Durable Task extension. docs/embedded-host.md says what it
runs, what it refuses, and where it differs from the real one.
"""
