"""python data.py pack SOURCE OUT format=webdataset   (see --help)"""

from difflab.cli.main import program

if __name__ == "__main__":
    program("data")
