"""python sample.py checkpoint=<run directory, checkpoint or openai:path>   (see --help)"""

from difflab.cli.main import program

if __name__ == "__main__":
    program("sample")
