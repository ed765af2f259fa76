"""Compose -> instantiate -> run. The only place that sees a DictConfig."""
