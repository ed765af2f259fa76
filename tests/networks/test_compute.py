"""However a network is computed, it computes the same."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from difflab.networks import CompiledBlocks
from difflab.runs import RunDirectory
from running import SMALL, saved_state, train_small

pytestmark = pytest.mark.long


def compiled_networks(what: str, cache: Path, *overrides: str) -> dict:
    inherited = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("compiled_networks.py"), what, *overrides],
        capture_output=True,
        encoding="utf-8",
        env=inherited | {"XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# a size of batch in training and one in sampling: each further one compiles all blocks anew
CHANGES = ("trainer.max_steps=3", "network.dropout=0.2", "eval.num_samples=16", "eval.batch_size=16", "eval.grid=10")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Where a compiled run goes."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="module")
def found(runs, tmp_path_factory):
    """What one process finds, which trains as well: to load the compiler takes as long as some of its work."""
    words = (*SMALL, f"run.root={runs}", *CHANGES, "compute=compiled_blocks", "compute.backend=aot_eager")
    return compiled_networks("without", tmp_path_factory.mktemp("cache"), *words)


def test_output_and_gradients_stay(found):
    assert len(found["apart"]) == 4
    assert all(difference < 1e-5 for difference in found["apart"].values()), found["apart"]


def test_the_reference_numbers_hold(found):
    assert found["golden"] < 1e-5


def test_blocks_of_equal_shapes_share_their_code_and_none_is_left_out(found):
    first, second = found["deep"]["graphs"]
    assert 0 < first < found["deep"]["chains"]
    assert second == first, "the same work compiles nothing again"
    assert not found["deep"]["gave up"]


def test_more_sizes_than_torch_would_compile(found):
    """Every batch is a variant of every block: torch by itself would leave those after the eighth to run kernel by kernel."""
    graphs = found["sizes"]["graphs"]
    assert graphs[-1] > 8
    assert all(later - earlier == graphs[0] for earlier, later in itertools.pairwise(graphs))
    assert not found["sizes"]["gave up"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "inductr"}, "compute.backend=inductr.*inductor"),
        ({"mode": "fast"}, "compute.mode=fast.*max-autotune"),
    ],
)
def test_what_torch_does_not_know_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CompiledBlocks(**arguments)


def test_a_compiled_run_is_the_same_run(found, runs, tmp_path):
    """Identity and weights are those of the run that is not compiled: it may be compiled today and not tomorrow."""
    plain = train_small(tmp_path, *CHANGES)
    (config,) = runs.glob("*/*/config.yaml")
    compiled = RunDirectory(config.parent)
    assert compiled.path.name == plain.run.path.name
    weights = saved_state(compiled)["state_dict"]
    for name, value in saved_state(plain.run)["state_dict"].items():
        torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.slow
def test_kernels_are_made_once_for_all_processes(tmp_path):
    first, second = (compiled_networks("with", tmp_path) for _ in range(2))
    assert first["apart"] < 1e-4
    assert second["apart"] == first["apart"]
    assert first["made"] > 0
    assert (second["made"], second["kept"]) == (0, first["made"] + first["kept"])
    assert any((tmp_path / "difflab" / "compiled").iterdir())
