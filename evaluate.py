"""python evaluate.py checkpoint=<run> | samples=<images>   (see --help)"""

from difflab.cli.evaluate import main

if __name__ == "__main__":
    main()
