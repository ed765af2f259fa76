"""python data.py pack SOURCE OUT format=webdataset   (see --help)."""

if __name__ == "__main__":
    from difflab.runtime.signals import withhold

    withhold()  # first of all: until they can be answered
    from difflab.cli.main import program

    program("data")
