"""Bennu rotates whole Kubernetes clusters instead of upgrading them in place."""

__version__ = "0.1.0"
