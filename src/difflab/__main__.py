"""`python -m difflab <command>`, the same as `difflab <command>`."""

from difflab.runtime.signals import withhold

withhold()  # first of all: until they can be answered

from difflab.cli.main import main  # noqa: E402

main()
