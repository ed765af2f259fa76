"""python sample.py checkpoint=<run directory, checkpoint or openai:path>   (see --help)"""

from difflab.cli.sample import main

if __name__ == "__main__":
    main()
