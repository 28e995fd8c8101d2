"""Readfirst: medical images from a clinic to an AI to a radiologist, on Azure."""

__version__ = "0.1.0"
