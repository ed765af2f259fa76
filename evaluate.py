"""python evaluate.py checkpoint=<run> | samples=<images>   (see --help)"""

from difflab.cli.main import program

if __name__ == "__main__":
    program("evaluate")
