"""`python -m difflab <command>`, the same as `difflab <command>`."""

from difflab.cli.main import main

main()
