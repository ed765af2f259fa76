"""The type checker of annotated functions in tests."""

from beartype import BeartypeConf, beartype

# an int is a float to Python's own type checkers too, and a yaml may say `scale: 1`
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
