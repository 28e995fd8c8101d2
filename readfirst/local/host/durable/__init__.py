"""Durable orchestrations: a pure replay of actions beside the history, an SQLite store, an engine, and its HTTP API."""
