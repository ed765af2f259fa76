"""`evaluate.py likelihood=probability_flow` on 8-bit images of a mixture, against the bits that they cost, which are known."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from difflab.cli.evaluate import evaluate
from difflab.cli.train import train
from difflab.data.subset import Spread
from difflab.evaluation import Results
from difflab.evaluation.results import Measurement
from exact import KNOWN, MixturePixels, exact_bits
from running import composed

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
IMAGES = 12
PROBES = {"rademacher": 400, "gaussian": 4000}
"""So many that what is left of their chance is below 0.01 bits: that of one is 0.17 and 1.6 an image."""

SCHEDULES = ["variance_preserving", "variance_exploding", "sub_variance_preserving", "linear_path"]


@pytest.fixture(scope="module", params=SCHEDULES)
def run(request, tmp_path_factory) -> Path:
    """A run of one step that learns nothing, of a model that knows all."""
    root = tmp_path_factory.mktemp("a run")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        train(composed("train", *KNOWN, f"schedule={request.param}", "run.name=known", f"run.root={root}"))
    return Path(printed.getvalue().splitlines()[-1])


def overrides(run: Path, probe: str, out: Path) -> list[str]:
    return [
        f"checkpoint={run}",
        "trust=exact",
        "metric=none",
        "accelerator=cpu",
        f"bits_per_dim={IMAGES}",
        "batch_size=8",
        "likelihood=probability_flow",
        f"likelihood/probe={probe}",
        f"likelihood.probes={PROBES[probe]}",
        "likelihood.tolerance=0.001",
        f"out={out}",
    ]


def measured(out: Path) -> Measurement:
    return Results.from_json((out / "results.json").read_text(encoding="utf-8"))["bits_per_dim_flow"]


@pytest.mark.parametrize("probe", PROBES)
def test_bits_of_dequantised_images_are_exact(run, probe, tmp_path):
    """To three standard errors and 0.02 bits, under the four processes of the literature and with either probe."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluate(composed("evaluate", *overrides(run, probe, tmp_path / "out")))
    found = measured(tmp_path / "out")
    images = Spread(MixturePixels(2000), IMAGES).images(list(range(IMAGES)))
    exact = exact_bits(images)
    assert found.samples == IMAGES
    assert found.std_error == pytest.approx(exact.std(ddof=1) / IMAGES**0.5, rel=0.25)
    assert found.value == pytest.approx(exact.mean(), abs=min(0.02, 3 * found.std_error))


@pytest.mark.parametrize("run", ["variance_preserving"], indirect=True)
@pytest.mark.parametrize("probe", PROBES)
def test_two_processes_find_the_same_bits(run, probe, tmp_path):
    """Each image has its own noise, probes and steps; only the order in which their sum is taken differs."""
    for devices in (1, 2):
        command = [*overrides(run, probe, tmp_path / str(devices)), f"devices={devices}"]
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "golden")])
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        subprocess.run(
            [sys.executable, str(ROOT / "evaluate.py"), *command],
            check=True,
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            timeout=900,
        )
    one, two = (measured(tmp_path / str(devices)) for devices in (1, 2))
    assert one.value == pytest.approx(two.value, rel=1e-12)
    assert one.std_error == pytest.approx(two.std_error, rel=1e-9)
    assert one.protocol.fingerprint == two.protocol.fingerprint
