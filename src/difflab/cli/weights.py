"""Weights of feature extractors: `difflab weights` says which are known and which are here, `difflab weights fetch NAME` gets one."""

from __future__ import annotations

from difflab.suggest import suggestion

USAGE = """usage: difflab weights               the known weights, where they are looked for, and whether they are intact
       difflab weights fetch NAME... gets them; nothing is ever downloaded otherwise"""


def main() -> None:
    """The command line of `difflab weights`."""
    from difflab.cli.endings import fail
    from difflab.cli.entry import Words
    from difflab.features.pretrained import FetchError

    words = Words(USAGE)
    verbs = words.add_subparsers(dest="verb", metavar="fetch", parser_class=Words)
    verbs.add_parser("fetch", text=USAGE).add_argument("names", metavar="NAME", nargs="+")
    given = words.parse_args()
    if given.verb is None:
        print(listing())
        return
    try:
        for name in given.names:
            fetch_by_name(name)
    except (FetchError, ValueError) as error:
        fail(str(error))


def listing() -> str:
    """A row for every known file, and the folders in which they are looked for."""
    from difflab.features.pretrained import KNOWN, cache_folder, hub_folder, sha256_of

    lines = [f"{'name':20} {'size':>8}  {'state':8}  where, or where from"]
    for weight in KNOWN.values():
        here = [path for path in weight.places if path.is_file()]
        state = ("intact" if sha256_of(here[0]) == weight.sha256 else "damaged") if here else "missing"
        lines.append(f"{weight.name:20} {weight.megabytes:5} MB  {state:8}  {here[0] if here else weight.origin}")
    variables = dict.fromkeys(f"${weight.variable}" for weight in KNOWN.values())
    lines += [
        "",
        f"Looked for in {cache_folder()}, then in {hub_folder()};",
        f"a path given by extractor.weights=PATH or by {', '.join(variables)} comes first.",
        "`difflab weights fetch NAME` gets one and checks its SHA-256.",
    ]
    return "\n".join(lines)


def fetch_by_name(name: str) -> None:
    """Fetches a file that is known by this name, with a progress bar on a terminal. ValueError for another name."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from difflab.features.pretrained import KNOWN, SOURCES, FetchError, fetch

    if name not in KNOWN:
        raise ValueError(f"{name}: no such weights; {suggestion(name, KNOWN)}")
    weight = KNOWN[name]
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(name, total=weight.megabytes * 1e6)
            path = fetch(weight, SOURCES[name], lambda count: bar.update(task, completed=count))
    except FetchError as error:
        instead = f". Try instead {KNOWN[weight.alternative].how}" if weight.alternative else ""
        raise FetchError(f"{error}{instead}") from error
    print(path)
