"""What goes wrong with data, said before training starts."""


class DataError(ValueError):
    """A data set or its layout cannot be used. The message names the file or the setting, and the remedy."""
