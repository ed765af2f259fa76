"""The readers of difflab's commands, each on a file that lies where it belongs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from makers import (
    images,
    json_texts,
    npy_files,
    npy_of,
    npz_files,
    png,
    safetensors_files,
    tars,
    torch_files,
    wandb_files,
    yaml_texts,
    zips,
)

Broken = Iterator[tuple[str, bytes | Callable[[], bytes]]]


@dataclass(frozen=True)
class Reader:
    """A way in which difflab's commands read a file.

    Attributes:
        name: Of the reader.
        file: Where the file lies, relative to a folder of its own.
        broken: The broken contents.
        read: Reads what lies in the folder, as the commands do.
        beside: What else lies in the folder: relative path -> content.
    """

    name: str
    file: str
    broken: Callable[[], Broken]
    read: Callable[[Path], object]
    beside: dict[str, bytes] = field(default_factory=dict)


def readers(run: Path, results: str) -> list[Reader]:
    """All of them.

    Args:
        run: The directory of a finished run.
        results: A results.json.
    """
    files = {path.relative_to(run).as_posix(): path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}
    evaluated = {name: content for name, content in files.items() if not name.endswith((".ckpt", ".safetensors"))} | {
        "evaluations/e0/results.json": results.encode()
    }
    checkpoint = max(name for name in files if name.startswith("checkpoints/step-"))
    track = min(name for name in files if name.startswith("weights/"))
    text = {name: files[name].decode() for name in ("config.yaml", "protocol.json", "provenance.json", "complete.json")}
    few = "\n".join(files["metrics.jsonl"].decode().splitlines()[:1])
    image = png()
    pictures = {f"{k}/{i}.png": image for k in range(2) for i in range(2)}
    index = json.dumps({"labels": [["a.png", 0], ["b.png", 1]]})
    small = {name: content for name, content in files.items() if not name.endswith((".ckpt", ".safetensors"))}
    found = [
        Reader(f"info {name}", name, maker, _info, files if name == checkpoint else small)
        for name, maker in (
            ("config.yaml", lambda: yaml_texts(text["config.yaml"], 2)),
            ("protocol.json", lambda: json_texts(text["protocol.json"], 2)),
            ("provenance.json", lambda: json_texts(text["provenance.json"], 2)),
            ("complete.json", lambda: json_texts(text["complete.json"], 1)),
            ("metrics.jsonl", lambda: json_texts(few, 1)),
            (checkpoint, lambda: torch_files(files[checkpoint])),
        )
    ]
    found += [
        Reader(f"model {name}", name, maker, read, files)
        for name, maker, read in (
            ("config.yaml", lambda: yaml_texts(text["config.yaml"], 2), lambda folder: _model(folder)),
            (checkpoint, lambda: torch_files(files[checkpoint]), lambda folder: _model(folder / checkpoint)),
            (track, lambda: safetensors_files(files[track]), lambda folder: _model(folder / track)),
            ("provenance.json", lambda: json_texts(text["provenance.json"], 2), lambda folder: _trained(folder)),
            ("protocol.json", lambda: json_texts(text["protocol.json"], 2), lambda folder: _trained(folder)),
        )
    ]
    found += [
        Reader(f"compare {name}", name, maker, lambda folder: _compare(folder, run), evaluated)
        for name, maker in (
            ("config.yaml", lambda: yaml_texts(text["config.yaml"], 1)),
            ("protocol.json", lambda: json_texts(text["protocol.json"], 2)),
            ("provenance.json", lambda: json_texts(text["provenance.json"], 1)),
            ("metrics.jsonl", lambda: json_texts(few, 1)),
            ("evaluations/e0/results.json", lambda: json_texts(results, 4)),
        )
    ]
    found += [
        Reader(
            "changes provenance.json",
            "provenance.json",
            lambda: json_texts(text["provenance.json"], 2),
            _changes,
            files,
        ),
        Reader("changes protocol.json", "protocol.json", lambda: json_texts(text["protocol.json"], 2), _changes, small),
        Reader("results", "results.json", lambda: json_texts(results, 4), _table),
        Reader("study", "study.yaml", lambda: yaml_texts(STUDY, 4), _study),
        Reader("profile", "profile.yaml", lambda: yaml_texts(PROFILE, 2), _profile),
        Reader(
            "set plan.json",
            "plan.json",
            lambda: json_texts(PLAN, 2),
            _set,
            {"complete.json": COMPLETE, "samples.npz": NPZ},
        ),
        Reader(
            "set complete.json",
            "complete.json",
            lambda: json_texts(COMPLETE.decode(), 2),
            _set,
            {"plan.json": PLAN.encode(), "samples.npz": NPZ},
        ),
        Reader("image", "0/a.png", images, _set_of_images, pictures),
        Reader("data info image", "0/a.png", images, _data_info, pictures),
        Reader("training image", "0/a.png", images, _folder, pictures),
        Reader("labels", "dataset.json", lambda: json_texts(index, 3), _folder, {"a.png": image, "b.png": image}),
        Reader("huge labels", "dataset.json", _huge_labels, _training_labels, {"a.png": image, "b.png": image}),
        Reader("zip", "set.zip", lambda: zips(image), lambda folder: _open(folder / "set.zip")),
        Reader("data info zip", "set.zip", lambda: zips(image), lambda folder: _info_of(folder / "set.zip")),
        Reader("training zip", "set.zip", lambda: zips(image), _zip),
        Reader("tar", "set/0.tar", lambda: tars(image), lambda folder: _open(folder / "set")),
        Reader("data info tar", "set/0.tar", lambda: tars(image), lambda folder: _info_of(folder / "set")),
        Reader("packing zip", "set.zip", lambda: zips(image), lambda folder: _pack(folder / "set.zip", folder / "out")),
        Reader("packing tar", "set/0.tar", lambda: tars(image), lambda folder: _pack(folder / "set", folder / "out")),
        Reader(
            "npz",
            "set.npz",
            lambda: npz_files({"arr_0": np.zeros((2, 8, 8, 3), np.uint8), "arr_1": np.arange(2)}),
            lambda folder: _open(folder / "set.npz"),
        ),
        Reader(
            "statistics",
            "set.npz",
            lambda: npz_files({"mu": np.zeros(3), "sigma": np.eye(3), "count": np.array(9)}),
            lambda folder: _statistics(folder / "set.npz"),
        ),
        Reader("odd statistics", "set.npz", _odd_statistics, lambda folder: _statistics(folder / "set.npz")),
        Reader("classes", "labels.npy", lambda: npy_files(npy_of(np.arange(3))), _classes),
        Reader(
            "latents",
            "0/a.npy",
            lambda: npy_files(npy_of(np.zeros((4, 8, 8), np.float32))),
            _info_of,
            {"0/b.npy": npy_of(np.zeros((4, 8, 8), np.float32))},
        ),
        Reader(
            "tensors pth",
            "weights.pth",
            lambda: torch_files(files[checkpoint]),
            lambda folder: _tensors(folder / "weights.pth"),
        ),
        Reader(
            "tensors safetensors",
            "w.safetensors",
            lambda: safetensors_files(files[track]),
            lambda folder: _tensors(folder / "w.safetensors"),
        ),
        Reader("openai", "64x64_diffusion.pt", lambda: torch_files(files[checkpoint]), _openai),
        Reader("wandb", "offline-run-1/run-1.wandb", lambda: wandb_files(WANDB), _wandb),
    ]
    for form in ("webdataset", "mds", "parquet"):
        found += _packed(form, pictures)
    return found


def _packed(form: str, pictures: dict[str, bytes]) -> list[Reader]:
    """A packed set's index and its shard."""
    folder = Path(f"packed-{form}")
    if not folder.exists():
        for name, content in pictures.items():
            path = folder / "source" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        _pack(folder / "source", folder / "out", form)
    files = {
        path.relative_to(folder / "out").as_posix(): path.read_bytes()
        for path in (folder / "out").rglob("*")
        if path.is_file()
    }
    from difflab.data.shard_index import INDEX

    shard = next(
        name
        for name in files
        if name.startswith(("shard", "0", "train")) or name.endswith((".mds", ".tar", ".parquet"))
    )
    from makers import torn

    return [
        Reader(f"{form} index", INDEX, lambda: json_texts(files[INDEX].decode(), 3), _sharded, files),
        Reader(f"{form} info", INDEX, lambda: json_texts(files[INDEX].decode(), 2), _info_of, files),
        Reader(f"{form} shard", shard, lambda: torn(files[shard]), _sharded, files),
    ]


STUDY = Path(__file__).with_name("study.yaml").read_text(encoding="utf-8")
PROFILE = (
    "partition: gpu\nmodules: [cuda]\nenvironment: {A: b}\nsrun: [--mpi=none]\nsetup: [ulimit -n 4096]\nscratch: /tmp\n"
)
PLAN = json.dumps(
    {
        "num_samples": 2,
        "keep_shards": False,
        "written": {"npz": "samples.npz"},
        "plan": {"first_seed": 0, "sampler._target_": "x"},
    }
)
COMPLETE = json.dumps({"files": {"npz": "samples.npz"}, "request": {}, "content": "x"}).encode()


def _npz() -> bytes:
    from makers import npz_of

    return npz_of({"arr_0": np.zeros((2, 8, 8, 3), np.uint8)})


NPZ = _npz()
WANDB = b":W&B\x00\x00\x00" + bytes(60)


def _huge_labels() -> Broken:
    for label in (1_700_000_000, 2**40, 2**63 - 1, 2**63, 10**6):
        yield str(label), json.dumps({"labels": [["a.png", label], ["b.png", 0]]}).encode()


def _odd_statistics() -> Broken:
    from makers import npz_of

    whole = {"mu": np.zeros(3), "sigma": np.eye(3)}
    for name, value in {
        "sigma": (
            np.eye(3) * 1e160,
            np.eye(3) * np.nan,
            -np.eye(3),
            np.triu(np.ones((3, 3))),
            np.eye(4),
            np.zeros((0, 0)),
            np.eye(3) * 1e308,
        ),
        "mu": (np.zeros(4), np.full(3, 1e160), np.full(3, np.inf), np.zeros((3, 1)), np.zeros(0)),
        "count": (
            np.zeros(0),
            np.array([1, 2]),
            np.array(-3),
            np.array(np.nan),
            np.array(2**63 - 1),
            np.array("x"),
            np.array(1e300),
        ),
        "extractor": (np.zeros(0), np.array(3), np.array("\x1b[2J\n"), np.array(["a", "b"])),
    }.items():
        for one in value:
            yield f"{name} {one.dtype} {one.shape} {one.ravel()[:2]}", npz_of({**whole, name: one})


def _info(folder: Path) -> object:
    from difflab.runs.info import as_text, info

    return as_text(info(folder))


def _model(path: Path) -> object:
    from difflab.checkpoints.load import load_model

    return load_model(str(path), None, None, None).weights_sha256


def _trained(folder: Path) -> object:
    from omegaconf import OmegaConf

    from difflab.checkpoints.trained_data import trained_data

    config = OmegaConf.load(folder / "config.yaml")
    return trained_data(config, folder / "checkpoints" / "x.ckpt")


def _compare(folder: Path, other: Path) -> object:
    from difflab.studies.compare import as_text, compare

    return as_text(compare([str(folder), str(other)], [], {}))


def _changes(folder: Path) -> object:
    from difflab.runs import RunDirectory
    from difflab.runs.provenance import changes, new_code
    from difflab.runtime.foreign_code import foreign_code

    run = RunDirectory(folder)
    code = foreign_code({})
    protocols = {"eval/ema/fid_digits@16": {"extractor.fingerprint": "x"}}
    return [run.status(), changes(run, code, protocols), new_code(folder, "x", code)]


def _table(folder: Path) -> object:
    from difflab.evaluation.tables import comparison_table

    return comparison_table([str(folder), str(folder / "results.json")], [], {})


def _study(folder: Path) -> object:
    from difflab.studies.spec import load_study

    return load_study(folder / "study.yaml")


def _profile(folder: Path) -> object:
    from difflab.cluster.slurm import load_profile

    return load_profile(str(folder / "profile.yaml")).shell()


def _set(folder: Path) -> object:
    from difflab.data import open_image_set
    from difflab.sampling import check_written, read_set

    written, drawing = read_set(folder)
    check_written(folder, open_image_set(written[0]))
    return drawing


def _open(path: Path) -> object:
    from difflab.data import open_image_set

    images = open_image_set(path)
    return images.images(range(len(images))), images.labels


def _set_of_images(folder: Path) -> object:
    return _open(folder)


def _info_of(path: Path) -> object:
    from difflab.data.packing import describe
    from difflab.data.packing.file_source import as_text

    return as_text(describe(str(path)))


def _data_info(folder: Path) -> object:
    return _info_of(folder)


def _folder(folder: Path) -> object:
    from difflab.data import ImageFolder

    return _whole(ImageFolder(folder, 8, 1))


def _zip(folder: Path) -> object:
    from difflab.data import ImageZip

    return _whole(ImageZip(folder / "set.zip", 8, 1))


def _whole(dataset: object) -> object:
    from difflab.data import ImageDataset

    assert isinstance(dataset, ImageDataset)
    return dataset.images(list(range(len(dataset)))), dataset.hash_content(), dataset.labels


def _training_labels(folder: Path) -> object:
    """As training checks labels against the classes of the model."""
    from difflab.data import ImageData, ImageFolder

    data = ImageData(ImageFolder(folder, 8, 1), batch_size=2, num_classes=2, num_workers=0, seed=0)
    return data.empty_classes


def _sharded(folder: Path) -> object:
    from difflab.data import ShardedImages

    return _whole(ShardedImages(folder, 8, 1))


def _pack(source: Path, out: Path, form: str = "webdataset") -> object:
    from difflab.data.packing import Mds, Parquet, WebDataset, open_source, pack

    forms = {one.name: one for one in (WebDataset(), Mds(), Parquet())}
    shutil.rmtree(out, ignore_errors=True)
    return len(pack(open_source(str(source)), str(out), forms[form], 256, lambda what, done, total: None))


def _statistics(path: Path) -> object:
    from difflab.evaluation.statistics_file import open_statistics
    from difflab.metrics.gaussian import Gaussian, frechet_distance

    found = open_statistics(path)
    for gaussian in found.gaussians.values():
        other = Gaussian(torch.ones_like(gaussian.mean), torch.eye(len(gaussian.mean), dtype=torch.float64), 10)
        frechet_distance(gaussian, other)
    return found


def _classes(folder: Path) -> object:
    from difflab.sampling.classes import Listed
    from difflab.sampling.prompts import Drawing

    return Listed(str(folder / "labels.npy")).prepare(Drawing((1, 8, 8), 10, num_samples=3))


def _tensors(path: Path) -> object:
    from difflab.reading.arrays import read_tensors

    return read_tensors(path)


def _openai(folder: Path) -> object:
    from difflab.checkpoints.load import load_model

    flags = "--image_size 8 --num_channels 32 --num_res_blocks 1 --attention_resolutions 4 --learn_sigma True"
    return load_model(f"openai:{folder}/64x64_diffusion.pt", None, flags, None)


def _wandb(folder: Path) -> object:
    from difflab.runs.wandb.offline_file import cut_torn_tail, holds_a_run, last_mirrored_step

    path = folder / "offline-run-1/run-1.wandb"
    return last_mirrored_step(folder), holds_a_run(path), cut_torn_tail(path)
