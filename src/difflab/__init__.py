"""difflab: a distributed experiment framework for diffusion models."""

__version__ = "0.1.0"
