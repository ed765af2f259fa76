"""A training from its configuration to its exit status."""
