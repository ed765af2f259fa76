"""A new idea is one module and one yaml: nothing of difflab changes."""

import sys

import pytest
import torch
from hydra.utils import instantiate

from difflab.cli.entry import help_text
from difflab.config.keys import check_keys
from difflab.noise import ImageNoise
from tiny import losses_of

MODULE = '''
"""A schedule whose signal falls along a quarter of a circle."""

import math

import torch

from difflab.schedules import NoiseSchedule
from difflab.types import AlphaSigma


class QuarterCircle(NoiseSchedule):
    """alpha = cos(bend t pi / 2), sigma = sin(bend t pi / 2), bend < 1."""

    def __init__(self, steps: int, bend: float):
        self.steps = steps
        self.bend = bend

    def __call__(self, t):
        angle = self.bend * t * math.pi / 2
        return AlphaSigma(torch.cos(angle), torch.sin(angle))

    def network_time(self, t):
        return (t * self.steps).round() - 1

    def time(self, u):
        return (torch.floor(u * self.steps) + 1) / self.steps
'''
YAML = """
# signal along a quarter of a circle
_target_: colleague.QuarterCircle
steps: 100
bend: 0.99
"""


@pytest.fixture
def colleague(tmp_path, monkeypatch):
    """A folder with colleague.py and conf/schedule/quarter_circle.yaml; its configurations' place as an override."""
    (tmp_path / "colleague.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "conf" / "schedule").mkdir(parents=True)
    (tmp_path / "conf" / "schedule" / "quarter_circle.yaml").write_text(YAML, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    sys.modules.pop("colleague", None)


def test_a_schedule_of_a_colleague_trains_and_samples(colleague, composed, base):
    config = composed(colleague, "+experiment=cosine_adagn", "+shrink=tiny", "schedule=quarter_circle")
    check_keys(config, base)
    torch.manual_seed(0)
    module = instantiate(config.module, _convert_="all")
    data = instantiate(config.data, _convert_="all")
    assert type(module.denoiser.schedule).__name__ == "QuarterCircle"
    batch = next(iter(data.train_dataloader()))
    optimizer = module.configure_optimizers()["optimizer"]
    losses = []
    for _ in range(8):  # the same images and the same noise: the loss must fall
        step = losses_of(module.objective, module.denoiser, batch.x0, batch.cond, ImageNoise(0, batch.number))
        optimizer.zero_grad()
        step.total.mean().backward()
        optimizer.step()
        losses.append(step.total.mean().item())
    assert losses[-1] < 0.9 * losses[0]
    assert module.sample(torch.arange(2), batch.cond.select(slice(2))).isfinite().all()


def test_its_arguments_are_checked_like_our_own(colleague, composed, base):
    config = composed(colleague, "schedule=quarter_circle", "+schedule.bent=0.5")
    with pytest.raises(ValueError, match=r"unknown key 'schedule.bent': .*QuarterCircle.* did you mean 'bend'\?"):
        check_keys(config, base)


def test_help_lists_every_group_but_rows():
    text = help_text("train.py", "trains", [], [], lambda group: True)
    assert "objective/time_sampler" in text
    assert "loss_second_moment" in text
    assert "iddpm" not in text
