"""Weights of other projects' models."""
