"""Does to a training what happens to trainings, and compares the end with that of an undisturbed run.

    python -m scripts.chaos                          # every scenario once, and three kills
    python -m scripts.chaos --list
    python -m scripts.chaos --only kills --kills 20 --processes 2
    python -m scripts.chaos --only disk data.num_workers=2

Each scenario begins with a copy of a run that was stopped on its way, with W&B offline and data workers. Exit status 0: whatever was done,
the command ended with one line and the status that belongs to it, nothing hung, and the same command went on to the weights of all tracks,
the metrics and the samples of the undisturbed run, to the bit.
"""
