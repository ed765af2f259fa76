"""check=torch_fidelity: its own numbers of the same images beside difflab's, in results.json and in the table."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from difflab.cli.evaluate import evaluate
from difflab.data import Digits
from difflab.features.inception import _LAYER, CONVOLUTIONS, find_inception_weights
from running import composed

FEW = ("batch_size=16", "replicates=0", "accelerator=cpu", "metric.kernel.subset_size=12", "metric.kernel.subsets=3")
ALL = "metric=[frechet,inception_score,kernel,precision_recall]"


def stored(path: Path, first: int, count: int = 24) -> Path:
    pixels = Digits().images(range(first, first + count)).permute(0, 2, 3, 1).numpy()
    np.savez(path, arr_0=pixels)
    return path


def random_weights(path: Path) -> Path:
    """The published network's shapes with weights of chance, which tell images apart as well."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Untrained(FeatureExtractorInceptionV3):
        def load_state_dict(self, state):
            pass

    torch.manual_seed(0)
    nothing = path.with_suffix(".none")
    torch.save({}, nothing)
    state = Untrained("untrained", ["2048"], feature_extractor_weights_path=str(nothing)).state_dict()
    for layer in CONVOLUTIONS.values():
        for part in _LAYER:
            name = f"{layer}.{part}"
            if part == "conv.weight":
                state[name] = torch.randn_like(state[name]) * (2 / state[name][0].numel()) ** 0.5
    torch.save(state, path)
    return path


def checked(tmp_path: Path, weights: Path) -> tuple[dict, dict]:
    """The node of the check, and the numbers."""
    samples, reference = stored(tmp_path / "samples.npz", 0), stored(tmp_path / "reference.npz", 100)
    said = (f"samples={samples}", f"reference={reference}", f"out={tmp_path / 'out'}", ALL, *FEW)
    evaluate(composed("evaluate", *said, "extractor=inception", f"extractor.weights={weights}", "check=torch_fidelity"))
    content = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    return content["subject"]["torch_fidelity"], {one["metric"]: one["value"] for one in content["measurements"]}


@pytest.fixture(autouse=True)
def _at(tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_both_computations_stand_beside_each_other(tmp_path, capsys):
    """Of torch-fidelity's own network, reader, statistics and subsets, with weights of chance: no download."""
    node, numbers = checked(tmp_path, random_weights(tmp_path / "inception.pth"))
    found = node["numbers"]
    assert set(found) == {"fid", "is", "is_std", "kid", "kid_std", "precision", "recall"}
    assert all(one["within"] for one in found.values()), found
    for name, one in found.items():
        assert one["difflab"] == numbers[name]
        assert one["difference"] == one["torch_fidelity"] - one["difflab"]
    assert numbers["fid"] > 0
    said = capsys.readouterr().out
    assert f"torch-fidelity {node['version']}" in said
    assert "MORE THAN" not in said


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_with_the_published_weights(tmp_path, monkeypatch):
    monkeypatch.delenv("DIFFLAB_CACHE")
    try:
        weights = find_inception_weights()
    except FileNotFoundError:
        weights = None
    if weights is None:
        pytest.skip("no weights of Inception here: difflab weights fetch inception")
    node, _ = checked(tmp_path, weights)
    assert {"fid", "kid", "precision"} <= set(node["numbers"])
    assert all(one["within"] for one in node["numbers"].values()), node


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("extractor=digits", "metric=[frechet]", "data=digits"), "these are of digits: choose extractor=inception"),
        (("check=torchfidelity", "data=digits"), "check=torchfidelity must be torch_fidelity"),
    ],
)
def test_what_it_cannot_check_is_a_line(tmp_path, capsys, overrides, said):
    samples = stored(tmp_path / "samples.npz", 0)
    with pytest.raises(SystemExit):
        evaluate(composed("evaluate", f"samples={samples}", *FEW[:3], "check=torch_fidelity", *overrides))
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line


def test_a_difference_that_rounding_does_not_explain_is_named():
    from difflab.evaluation.torch_fidelity import _beside, comparison
    from difflab.metrics import Frechet

    tolerance = Frechet().counterpart.tolerance(10.0, 100)
    node = {"version": "0", "numbers": {"fid": _beside(10.0, 10.5, tolerance), "kid": _beside(0.1, 0.1, 1e-5)}}
    lines = comparison(node).splitlines()
    assert "MORE THAN 0.01" in lines[1]
    assert "within" in lines[2]
