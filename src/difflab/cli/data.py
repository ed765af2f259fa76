"""Data sets: `difflab data pack` makes shards, `difflab data info` tells what a data set is."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from string import Template

from difflab.reading.json import dumps
from difflab.runtime.invocation import command, program

HELP = """$program: packs data sets into shards, and tells what they are

  $data pack SOURCE OUT [format=webdataset] [image_size=64] [shard_mb=256]
      SOURCE: a folder, a zip, tar shards, a packed set, or hub:NAME [split=train] [image_column=image] [label_column=label|null];
              or a folder of .npy files [C, H, H], which are packed as latents
      OUT: a new folder. The same command again goes on after an interruption
      format: webdataset (tar), mds (MosaicML Streaming), parquet (Hugging Face)
      image_size: resizes and centre-crops as training would, to PNG; without it files are copied as they are
      shard_mb: of a shard, at most

  $data info PATH [--json]
      images, bytes, sizes, classes, shards, and the hash of the content; what is damaged is said

Train on the result with data=webdataset|mds|parquet|latents data.dataset.root=OUT."""

SETTINGS = ("format", "image_size", "shard_mb", "split", "image_column", "label_column")
"""Of packing, as key=value."""


def main() -> None:
    """The command line of `difflab data`."""
    from difflab.cli.endings import fail
    from difflab.cli.entry import Words, arguments
    from difflab.data import DataError

    text = Template(HELP).substitute(data=command("data"), program=program("data"))
    hint = "give pack SOURCE OUT [key=value ...], or info PATH"
    words = Words(text, hint)
    verbs = words.add_subparsers(dest="verb", metavar="pack|info", parser_class=Words)
    packing, info = (verbs.add_parser(verb, text=text, hint=hint) for verb in ("pack", "info"))
    packing.add_argument("source", metavar="SOURCE")
    packing.add_argument("out", metavar="OUT")
    packing.add_argument("settings", metavar="key=value", nargs="*")
    info.add_argument("path", metavar="PATH")
    info.add_argument("--json", action="store_true")
    given = words.parse_args(arguments())
    if given.verb is None:
        print(words.format_help(), end="")
        sys.exit(2)
    try:
        if given.verb == "pack":
            _pack(given.source, given.out, given.settings)
        else:
            _info(given.path, given.json)
    except DataError as error:
        fail(str(error))


def _pack(path: str, out: str, words: list[str]) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from difflab.data import DataError
    from difflab.data.packing import Mds, Parquet, WebDataset, open_source, pack

    values = _values(words)
    forms = {form.name: form for form in (WebDataset(), Mds(), Parquet())}
    form = forms.get(values.get("format", "webdataset"))
    if form is None:
        raise DataError(f"format={values['format']}: there is no such format; choose {', '.join(forms)}")
    label_column = values.get("label_column", "label")
    source = open_source(
        path,
        _number(values, "image_size", None),
        values.get("split", "train"),
        values.get("image_column", "image"),
        None if label_column == "null" else label_column,
    )
    shard_mb = _number(values, "shard_mb", 256) or 256
    columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        tasks = {what: progress.add_task(what, total=len(source.names)) for what in ("packing", "checking")}
        index = pack(
            source, out, form, shard_mb, lambda what, done, total: progress.update(tasks[what], completed=done)
        )
        for task in tasks.values():
            progress.update(task, completed=len(index))
    use = "latents" if index.shape is not None else index.format
    print(f"{len(index):,} examples in {len(index.shards)} shards of {out}, content {index.content} as in the source")
    print(
        f"train on them with data={use} {shlex.quote(f'data.dataset.root={Path(out).absolute()}')} data.image_size=..."
    )


def _info(path: str, as_json: bool) -> None:
    from difflab.data.packing import describe
    from difflab.data.packing.file_source import as_text
    from difflab.reading import printable

    facts = describe(path)
    print(dumps(facts, indent=2) if as_json else printable(as_text(facts)))


def _values(words: list[str]) -> dict[str, str]:
    from difflab.data import DataError
    from difflab.suggest import near_name

    values = {}
    for word in words:
        key, equals, value = word.partition("=")
        if key not in SETTINGS or not equals:
            near = near_name(key, SETTINGS)
            raise DataError(f"{word!r}: {f'did you mean {near}=?' if near else 'there are ' + ', '.join(SETTINGS)}")
        values[key] = value
    return values


def _number(values: dict[str, str], key: str, default: int | None) -> int | None:
    from difflab.data import DataError

    if key not in values:
        return default
    if not values[key].isdecimal() or int(values[key]) < 1:
        raise DataError(f"{key}={values[key]} must be a whole number from 1 on")
    return int(values[key])
