"""python train.py +experiment=cosine_adagn   (see --help)"""

from difflab.cli.main import program

if __name__ == "__main__":
    program("train")
