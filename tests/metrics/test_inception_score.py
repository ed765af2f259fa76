"""Inception Score against closed forms, torch-fidelity, torchmetrics and guided-diffusion."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from recipes import LOGITS
from torch import nn
from torch_fidelity.metric_isc import isc_features_to_metric
from torchmetrics.image.inception import InceptionScore as TorchmetricsScore

from difflab.features.extractor import Features, Identity
from difflab.metrics import Inception

GOLDEN = Path(__file__).parents[1] / "golden"
TORCH_FIDELITY = json.loads((GOLDEN / "metrics_torch.json").read_text(encoding="utf-8"))["torch_fidelity_isc"]
GUIDED = json.loads((GOLDEN / "metrics_guided_tf.json").read_text(encoding="utf-8"))["guided_inception_score"]
LOGITS_1008 = torch.from_numpy(LOGITS()["logits1008"])


class Score(NamedTuple):
    mean: float
    std: float


def of(logits: torch.Tensor, splits: int) -> Inception:
    return Inception(splits).prepare(Identity("test", 1, "", logits.shape[1]), len(logits))


def shown(logits: torch.Tensor) -> Features:
    return Features(torch.zeros(len(logits), 1), logits)


def score(logits: torch.Tensor, splits: int, batch: int = 100, order: torch.Tensor | None = None) -> Score:
    metric = of(logits, splits)
    index = torch.arange(len(logits)) if order is None else order
    for rows in index.split(batch):
        metric.update(shown(logits[rows]), rows)
    found = metric.compute()
    return Score(found["is_test"].item(), found["is_test_std"].item() if splits > 1 else 0.0)


def test_certain_and_balanced_gives_the_number_of_classes():
    certain = torch.full((10, 10), -1e4).fill_diagonal_(1e4).repeat(7, 1)
    assert score(certain, splits=7) == pytest.approx((10.0, 0.0), abs=1e-12)


def test_uninformative_gives_one():
    assert score(torch.zeros(60, 10), splits=3) == pytest.approx((1.0, 0.0), abs=1e-12)


@pytest.mark.parametrize("splits", [1, 10])
def test_golden_values_of_torch_fidelity(splits):
    golden = TORCH_FIDELITY[f"logits1008/splits={splits}/shuffle=False"]
    mean, std = score(LOGITS_1008, splits)
    assert mean == pytest.approx(golden["inception_score_mean"], rel=1e-10)
    assert std == pytest.approx(golden["inception_score_std"], rel=1e-8, abs=1e-12)


def test_golden_value_of_guided_diffusion():
    """Its evaluator works in float32, hence 1e-6."""
    assert score(LOGITS_1008, splits=1).mean == pytest.approx(GUIDED["logits1008/split_size=5000"], rel=1e-6)


@pytest.mark.parametrize(("n", "splits"), [(693, 10), (97, 7), (50, 50)])
def test_boundaries_of_uneven_splits_are_torch_fidelitys(n, splits):
    logits = LOGITS_1008[:n]
    theirs = isc_features_to_metric(logits, splits=splits, shuffle=False)
    mean, std = score(logits, splits)
    assert mean == pytest.approx(theirs["inception_score_mean"], rel=1e-10)
    assert std == pytest.approx(theirs["inception_score_std"], rel=1e-7, abs=1e-12)


@pytest.mark.filterwarnings("ignore")  # of its memory, and of the deviation of one split
def test_agrees_with_torchmetrics_itself():
    theirs = TorchmetricsScore(feature=nn.Identity(), splits=1)
    theirs.update(LOGITS_1008.double())
    assert score(LOGITS_1008, splits=1).mean == pytest.approx(theirs.compute()[0].item(), rel=1e-10)


def test_neither_batch_size_nor_order_of_arrival_matters():
    order = torch.randperm(700, generator=torch.Generator().manual_seed(0))
    assert score(LOGITS_1008, splits=10, batch=33, order=order) == pytest.approx(
        score(LOGITS_1008, splits=10), rel=1e-12
    )


def test_errors():
    with pytest.raises(ValueError, match="cannot be cut into 10 splits"):
        of(torch.zeros(9, 4), splits=10)
    metric = of(torch.zeros(4, 3), splits=2)
    metric.update(shown(torch.zeros(2, 3)), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="split 1 of 2 has no image"):
        metric.compute()
