"""Engines: what runs a model. The interface, the registry of models on this machine, and one package per kind."""
