"""Samples drawn and scored in the loop."""

import numpy as np
import pytest
import torch
from PIL import Image

from difflab.ema import Constant
from difflab.evaluation import EvaluationCallback, Evaluator
from difflab.evaluation.reference import ReferenceSource
from difflab.features import DigitsExtractor, to_uint8
from difflab.metrics import Frechet, Inception
from difflab.pictures import grid_layout
from difflab.samplers import balanced_labels
from difflab.sampling import Drawing, InTurn
from difflab.training.callbacks import EMACallback
from tiny import CLASSES, Rows, fit, tiny_module

N = 20
IN_TURN = InTurn().prepare(Drawing((1, 4, 4), CLASSES))


class Eyes(torch.nn.Module):
    """Stands in for an Evaluator: keeps what it is shown; its one metric is the mean of the real images' pixels."""

    num_images = N

    def __init__(self):
        super().__init__()
        self.shown: list[tuple[int, torch.Tensor]] = []

    def reset(self):
        self.images: dict[int, torch.Tensor] = {}
        self.calls = 0

    def update(self, images, index):
        assert len(images) == len(index)
        self.calls += 1
        for i, image in zip(index.tolist(), images, strict=True):
            if i < N:
                assert i not in self.images
                self.images[i] = image

    def compute(self):
        assert sorted(self.images) == list(range(N))
        return {"mean": torch.stack([self.images[i] for i in range(N)]).double().mean().item()}


def watcher(tmp_path, tracks=("fast",), batch_size=8, grid=6, eyes=None) -> EvaluationCallback:
    return EvaluationCallback(eyes or Eyes(), tracks, batch_size, grid, tmp_path / "samples", IN_TURN)  # type: ignore[arg-type]


def images_of(module, track: str) -> torch.Tensor:
    with torch.no_grad(), module.ema.applied_to(module.denoiser, track):
        return to_uint8(module.sample(torch.arange(N), balanced_labels(torch.arange(N), CLASSES)))


def test_each_named_track_is_scored_with_its_own_weights(tmp_path):
    rows = Rows()
    module = tiny_module(ema=EMACallback({"fast": Constant(0.2), "slow": Constant(0.99)}))
    fit(module, [watcher(tmp_path, ["slow", "online"])], evaluate_every=3, logger=rows)
    evaluated = {step: row for step, row in rows.rows.items() if any(name.startswith("eval/") for name in row)}
    assert list(evaluated) == [3, 6]
    for track in ("slow", "online"):
        expected = images_of(module, track).double().mean().item()
        assert evaluated[6][f"eval/{track}/mean@{N}"] == pytest.approx(expected, abs=0.02)
    assert "eval/fast/mean@20" not in evaluated[6]
    assert evaluated[6]["eval/slow/mean@20"] != evaluated[6]["eval/online/mean@20"]
    assert evaluated[3]["eval/online/mean@20"] != evaluated[6]["eval/online/mean@20"]


def test_without_tracks_the_online_weights_are_scored(tmp_path):
    rows = Rows()
    fit(tiny_module(ema=EMACallback({})), [watcher(tmp_path, [])], evaluate_every=6, logger=rows)
    assert "eval/online/mean@20" in rows.rows[6]


def test_evaluating_changes_nothing_of_training(tmp_path):
    watched, alone = tiny_module(), tiny_module()
    fit(watched, [watcher(tmp_path)], evaluate_every=2)
    fit(alone)
    torch.testing.assert_close(watched.state_dict(), alone.state_dict(), rtol=0, atol=0)
    assert watched.training or not alone.training


def test_the_last_step_is_evaluated_whatever_the_interval(tmp_path):
    rows = Rows()
    fit(tiny_module(), [watcher(tmp_path)], steps=7, evaluate_every=3, logger=rows)
    evaluated = [step for step, row in rows.rows.items() if "eval/fast/mean@20" in row]
    assert evaluated == [3, 6, 7]


def test_an_unknown_track_is_named_before_the_first_step(tmp_path):
    module = tiny_module()
    with pytest.raises(ValueError, match=r"'quick'.*fast, online"):
        fit(module, [watcher(tmp_path, ["quick"])], evaluate_every=2)
    assert module.ema.tracks.step == 0


@pytest.mark.parametrize(("batch_size", "calls"), [(20, 1), (7, 3), (8, 3), (50, 1)])
def test_seeds_are_padded_to_whole_batches(tmp_path, batch_size, calls):
    """20 images in batches of 7: three calls of 7 images; the one too many is not counted (Eyes refuses a double or missing one)."""
    eyes = Eyes()
    module = tiny_module()
    fit(module, [watcher(tmp_path, batch_size=batch_size, eyes=eyes)], evaluate_every=6)
    assert eyes.calls == calls
    shown = torch.stack([eyes.images[i] for i in range(N)])
    assert (shown.int() - images_of(module, "fast").int()).abs().max() <= 1


def test_real_metrics_do_not_depend_on_the_batch_size(tmp_path):
    from difflab.data import Digits

    results = []
    for batch_size in (16, 40):
        source = ReferenceSource(Digits(), None, Digits().fingerprint)
        chosen = {"frechet": Frechet(), "inception_score": Inception(1)}
        metrics = Evaluator(chosen, DigitsExtractor(), source, cache=tmp_path / "cache").prepare(40)
        rows = Rows()
        watch = EvaluationCallback(metrics, ["fast"], batch_size, 4, tmp_path / "samples", IN_TURN)
        module = tiny_module()
        module.sample = _digits  # type: ignore[method-assign]
        fit(module, [watch], evaluate_every=6, logger=rows)
        results.append({name: value for name, value in rows.rows[6].items() if name.startswith("eval/")})
    assert results[0].keys() == {f"eval/fast/{name}@40" for name in ("fd_digits", "is_digits")}
    assert results[0] == pytest.approx(results[1], rel=1e-5)


def _digits(seeds: torch.Tensor, cond, onlooker=None) -> torch.Tensor:
    noise = torch.stack([torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(int(seed))) for seed in seeds])
    return noise * 2 - 1


def test_the_picture_shows_the_first_images(tmp_path):
    module = tiny_module()
    fit(module, [watcher(tmp_path, ["fast", "online"], grid=6)], evaluate_every=3)
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    grids = [f"{track}_{step:08d}.png" for track in ("fast", "online") for step in (3, 6)]
    assert names == [*grids, "trajectory_00000006.png"]
    for track in ("fast", "online"):
        picture = np.asarray(Image.open(tmp_path / "samples" / f"{track}_00000006.png"))
        assert picture.shape == (2 * 66 + 2, CLASSES * 66 + 2, 3)  # 4 pixels shown as 64, a column per class
        expected = images_of(module, track)[:6, 0].int().numpy()
        for i in range(6):
            top, left = 2 + i // 3 * 66, 2 + i % 3 * 66
            shown = picture[top : top + 64 : 16, left : left + 64 : 16, 0].astype(int)
            assert np.abs(shown - expected[i]).max() <= 1


def test_the_picture_cannot_show_more_than_was_drawn(tmp_path):
    fit(tiny_module(), [watcher(tmp_path, batch_size=4, grid=100)], evaluate_every=6)
    picture = Image.open(tmp_path / "samples" / "fast_00000006.png")
    layout = grid_layout(N, CLASSES)
    assert layout.width * layout.height >= N
    assert (picture.width - 2) // 66 == layout.width
