"""python data.py pack SOURCE OUT format=webdataset   (see --help)"""

from difflab.cli.data import main

if __name__ == "__main__":
    main()
