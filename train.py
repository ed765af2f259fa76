"""python train.py +experiment=cosine_adagn   (see --help)"""

from difflab.cli.train import main

if __name__ == "__main__":
    main()
