"""python study.py <study> plan | launch | status | table | report ...   (see --help)"""

from difflab.cli.study import main

if __name__ == "__main__":
    main()
