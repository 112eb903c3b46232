"""Polylogue: several models answer one prompt side by side, on an event log."""

__version__ = "0.1.0"
