"""A difflab that trains and evaluates in no time, for tests of who is started when.

Python runs `sitecustomize` of a folder in PYTHONPATH before anything else; this one takes the place of `python -m difflab train|evaluate`.
How a training goes is said by its override ways=<start>,<start>...: ok, slow (until it is told to stop), stubborn (and not even then),
status75 (with a checkpoint more), idle75 (without) or a status. A note of each start is in <run.root>/starts.
"""

import textwrap
from pathlib import Path

PROGRAM = """
import sys
if sys.orig_argv[1:3] == ["-m", "difflab"] and sys.orig_argv[3] in ("train", "evaluate"):
    import fcntl, json, os, pathlib, signal, time
    command, given = sys.orig_argv[3], dict(word.split("=", 1) for word in sys.orig_argv[4:])

    def note(root):
        with open(pathlib.Path(root) / "starts", "a") as file:
            words = [command, given.get("seed", ""), os.environ.get("OMP_NUM_THREADS", ""), os.environ.get("CUDA_VISIBLE_DEVICES", "")]
            file.write(" ".join(words).strip() + "\\n")

    def write(path, content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content) + "\\n")

    def leave(status):
        sys.stdout.flush()
        os._exit(status)

    if command == "evaluate":
        note(pathlib.Path(given["checkpoint"]).parents[2])
        if "fail" in given:
            print("error: cannot evaluate")
            leave(2)
        write(pathlib.Path(given["out"]) / "results.json", {"subject": {}, "measurements": []})
        leave(0)
    note(given["run.root"])
    run = pathlib.Path(given["run.root"]) / given["run.name"] / (given["run.name"].rpartition("/")[2] + given["seed"])
    run.mkdir(parents=True, exist_ok=True)
    lock = open(run / "lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    starts = json.loads((run / "provenance.json").read_text()) if (run / "provenance.json").exists() else []
    ways = given.get("ways", "ok").split(",")
    way = ways[min(len(starts), len(ways) - 1)]
    starts.append({"started": "2026-01-01T00:00:00+00:00"})
    write(run / "provenance.json", starts)

    def end(outcome, status):
        starts[-1]["outcome"] = outcome
        write(run / "provenance.json", starts)
        leave(status)

    def checkpoint():
        write(run / "checkpoints" / f"step-{len(starts):08d}.ckpt", {})

    if way in ("slow", "stubborn"):
        stop = lambda *_: end("interrupted", 75)
        signal.signal(signal.SIGTERM, signal.SIG_IGN if way == "stubborn" else stop)
        write(run / "metrics.jsonl", {"step": 7, "train/images_per_second": 1.0})
        time.sleep(120)
    if way == "status75":
        checkpoint()
    if way.endswith("75"):
        end("interrupted", 75)
    if way == "ok":
        write(run / "complete.json", {})
        end("complete", 0)
    print(f"Traceback\\nRuntimeError: way {way}")
    end("diverged" if way == "3" else "failed", int(way))
"""


def install(folder: Path) -> None:
    """Makes commands started with the folder in PYTHONPATH stand-ins."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(textwrap.dedent(PROGRAM), encoding="utf-8")
