"""What a page's placeholders stand for: real things, tiny, made once and only if a command asks for them."""

import contextlib
import io
import re
import sys
import types
import zipfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
from documented import ROOT, Block, blocks
from PIL import Image

from difflab.cli.data import main as data_command
from difflab.cli.train import train
from running import SMALL, composed, train_small

SHORT = (
    *("schedule.steps=1000", "trainer.max_steps=2", "data.batch_size=16", "checkpoint.every=1"),
    *("eval.every=2", "eval.num_samples=16", "eval.grid=10"),
)
OF_EARLIER_STEPS = ("ema=[power_function]", "ema.power_function.std=0.1", "ema_snapshots.every=1")

DATA = ("pictures", "zipped", "shards", "latents", "latent_shards", "digits_file")
"""Stand-ins that take no training."""

OWN_CHOICE = r"conf/[\w/]+\.yaml"
"""Where the pages have the reader write a choice of a group."""

OWN_RUN = {
    "docs/evaluation.md": "guided_run",
    "docs/guidance.md": "guided_run",
    "docs/super_resolution.md": "upsampler",
    "docs/runs.md": "guided_run",
}
"""Page -> the run that it has trained, where that is not the headline run."""


class Workshop:
    """A folder of runs, data sets and files to stand for what the pages name.

    Attributes:
        folder: In which commands are run.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.runs = folder / "runs"

    @cached_property
    def run(self) -> Path:
        """The headline run, with nothing added."""
        return train_small(self.runs, *SHORT, "run.name=cosine_adagn").run.path

    @cached_property
    def second_run(self) -> Path:
        return train_small(self.runs, *SHORT, "run.name=cosine_adagn", "seed=1").run.path

    @cached_property
    def third_run(self) -> Path:
        return train_small(self.runs, *SHORT, "run.name=cosine_adagn", "seed=2").run.path

    @cached_property
    def guided_run(self) -> Path:
        """The same, trained to be guided, with early checkpoints and snapshots."""
        more = ("condition_dropout=0.1", "checkpoint.milestone=1", *OF_EARLIER_STEPS)
        return train_small(self.runs, *SHORT, *more).run.path

    @cached_property
    def small_base(self) -> Path:
        """A model that draws 4x4 digits' likeness, for a cascade."""
        mixture = (
            "data=mixture",
            "data.num_classes=10",
            "data.dataset.mixture.components=10",
            "data.dataset.length=64",
        )
        more = ("data.image_size=4", "network.depth=1", "condition_dropout=0.1", "extractor=best_available")
        return train_small(self.runs, *SHORT, *mixture, *more, "run.name=base").run.path

    @cached_property
    def upsampler(self) -> Path:
        words = [word.replace("network.", "network.unet.") for word in (*SMALL[1:], *SHORT)]
        return _run_of("+experiment=sr/digits_4to8", *words, f"run.root={self.runs}")

    @cached_property
    def classifier(self) -> Path:
        words = ("network.width=32", "trainer.accelerator=cpu", "logger=none", f"run.root={self.runs}")
        return _run_of("+experiment=digits_classifier", *SHORT, *words)

    @cached_property
    def own_words(self) -> set[str]:
        """Words of a command that choose what the pages have the reader write."""
        paths = [written_to(block, OWN_CHOICE) for block in blocks() if block.language == "yaml"]
        chosen = [path.removeprefix("conf/").removesuffix(".yaml").rpartition("/") for path in paths if path]
        return {f"{group}={name}" for group, _, name in chosen}

    @cached_property
    def own_choices(self) -> Path:
        """A folder like conf/ of the YAML that the pages have the reader write; the modules that it names can be imported."""
        folder = self.folder / "conf"
        for block in blocks():
            if block.language == "yaml" and (path := written_to(block, OWN_CHOICE)):
                file = self.folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                place, _, text = block.text.partition("\n")
                named = text.startswith("# @package")  # which Hydra looks for in a file's first line
                file.write_text(text if named else f"{place}\n{text}", encoding="utf-8")
            if block.language == "python" and (path := written_to(block, r"src/difflab/[\w/]+\.py")):
                name = path.removeprefix("src/").removesuffix(".py").replace("/", ".")
                module = types.ModuleType(name)
                exec(compile(block.text, path, "exec"), module.__dict__)
                sys.modules[name] = module
                setattr(sys.modules[name.rpartition(".")[0]], name.rpartition(".")[2], module)
        return folder

    @cached_property
    def pictures(self) -> Path:
        """A folder of two classes of 64x64 pixels."""
        folder = self.folder / "pictures"
        for number in range(32):
            _picture(folder / f"class{number % 2}" / f"{number:03}.png", number)
        return folder

    @cached_property
    def zipped(self) -> Path:
        path = self.folder / "pictures.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(self.pictures.rglob("*.png")):
                archive.write(file, file.relative_to(self.pictures).as_posix())
            labels = [
                [file.relative_to(self.pictures).as_posix(), int(file.parent.name[-1])]
                for file in sorted(self.pictures.rglob("*.png"))
            ]
            archive.writestr("dataset.json", str({"labels": labels}).replace("'", '"'))
        return path

    @cached_property
    def shards(self) -> Path:
        path = self.folder / "packed"
        with said(["data.py", "pack", str(self.pictures), str(path)]):
            data_command()
        return path

    @cached_property
    def latents(self) -> Path:
        """A folder of ten classes of arrays [4, 32, 32]."""
        folder = self.folder / "latents"
        for number in range(40):
            path = folder / f"class{number % 10}" / f"{number:03}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.random.default_rng(number).normal(size=(4, 32, 32)).astype(np.float32))
        return folder

    @cached_property
    def latent_shards(self) -> Path:
        path = self.folder / "packed_latents"
        with said(["data.py", "pack", str(self.latents), str(path)]):
            data_command()
        return path

    @cached_property
    def digits_file(self) -> Path:
        """An npz of grey images of 8x8 pixels with classes, of which sample.py and evaluate.py take all kinds."""
        path = self.folder / "images.npz"
        random = np.random.default_rng(0)
        np.savez(path, arr_0=random.integers(0, 256, (32, 8, 8, 1), np.uint8), arr_1=np.arange(32) % 10)
        return path

    def stand_ins(self, page: str) -> list[tuple[str, str]]:
        """(pattern of a placeholder, what stands for it: an attribute, with what follows it)."""
        return [
            (r"runs/digits_classifier\b(?!/)|\bCLASSIFIER\b", "classifier"),
            (r"RUN/checkpoints/<early>\.ckpt", "guided_run/checkpoints/step-00000001.ckpt"),
            (r"runs/cosine_adagn\b(?!/)|<run(?: directory)?>|\bRUN(?:_A)?\b", OWN_RUN.get(page, "run")),
            (r"\bRUN_B\b", "second_run"),
            (r"\bRUN_C\b", "third_run"),
            (r"\bBASE\b", "small_base"),
            (r"\bUPSAMPLER\b", "upsampler"),
            (r"/data/birds\.zip|\bimagenet\.zip", "zipped"),
            (r"/data/birds|/path/to/images", "pictures"),
            (r"/path/to/latents\b", "latents"),
            (r"/path/to/latent_shards", "latent_shards"),
            (r"/path/to/shards|/data/shards", "shards"),
            (r"\b(?:images|samples)\.npz", "digits_file"),
            (r"(?<=^samples=)folder$", "pictures"),
        ]

    def filled(self, word: str, page: str) -> str:
        """A word of a page with real things in place of its placeholders."""
        return self._filled(word, page, lambda name: str(getattr(self, name)))

    def named(self, word: str, page: str) -> str:
        """The same, of which only data are there: their classes are counted before training begins."""
        return self._filled(word, page, lambda name: str(getattr(self, name) if name in DATA else self.folder / name))

    def _filled(self, word: str, page: str, place: Callable[[str], str]) -> str:
        for pattern, name in self.stand_ins(page):
            if re.search(pattern, word):
                attribute, slash, rest = name.partition("/")
                found = place(attribute) + slash + rest
                word = re.sub(pattern, lambda _, found=found: found, word)
        return word


def written_to(block: Block, pattern: str) -> str:
    """The file that a page has the reader write a block to: named in its first line, or shortly before it; empty if none is."""
    before = (ROOT / block.page).read_text(encoding="utf-8").splitlines()[max(0, block.line - 4) : block.line - 1]
    found = re.findall(pattern, block.text.splitlines()[0]) or re.findall(pattern, " ".join(before))
    return found[-1] if found else ""


@contextlib.contextmanager
def said(argv: list[str]):
    """Within the context a command's words are these; what it prints is kept."""
    before, sys.argv = sys.argv, list(argv)
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            yield out
    finally:
        sys.argv = before


def _run_of(*overrides: str) -> Path:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        train(composed("train", *overrides))
    return Path(out.getvalue().splitlines()[-1])


def _picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(path)
