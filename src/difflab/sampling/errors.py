"""What goes wrong while images are drawn."""


class SamplingError(ValueError):
    """Drawing cannot begin or go on. The message is one line that names the place and the remedy."""


class SamplingStopped(Exception):
    """Drawing was told to stop between two batches; what is drawn is kept."""
