"""python study.py <study> plan | launch | status | table | report ...   (see --help)"""

from difflab.cli.main import program

if __name__ == "__main__":
    program("study")
