"""Held-out images, noised: against sums of our own, and on any number of processes."""

import pytest
import torch
import torch.nn.functional as F

from difflab.data import ArrayImages
from difflab.evaluation import ClassificationEvaluation
from difflab.noise import ImageNoise
from difflab.objectives import classification_terms
from difflab.process import perturb
from difflab.schedules import cosine
from difflab.training.callbacks.sockets import time_quarter

K = 7
IMAGES = ArrayImages(
    torch.randint(0, 256, (11, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)),
    torch.arange(11) % K,
)


class Linear(torch.nn.Module):
    """Logits that depend on the image and the time."""

    schedule = cosine(20)

    def forward(self, x_t, t):
        weights = torch.randn(16, K, generator=torch.Generator().manual_seed(1))
        return x_t.flatten(1) @ weights + t.float()[:, None] * torch.arange(K)


def test_the_numbers_are_means_over_the_quarters_of_time():
    found = ClassificationEvaluation(IMAGES, [], 30, 8).evaluate(Linear(), torch.device("cpu"))  # type: ignore[arg-type]
    model, number = Linear(), torch.arange(30)
    noise = ImageNoise(0, number)
    t = model.schedule.time(noise.uniform("time"))
    x_0 = IMAGES.images(number % 11).float() / 127.5 - 1
    logits = model(perturb(x_0, noise.normal("eps", (1, 4, 4)).float(), model.schedule(t)), t)
    label = (number % 11) % K
    terms = {
        "loss": F.cross_entropy(logits, label, reduction="none"),
        "top1": (logits.argmax(1) == label).float(),
        "top5": (logits.topk(5).indices == label[:, None]).any(1).float(),
    }
    for name, values in terms.items():
        assert found[name] == pytest.approx(values.double().mean().item(), rel=1e-6)
        for quarter in range(4):
            mine = values[(t > quarter / 4) & (t <= (quarter + 1) / 4)].double()
            assert found[f"{name}_q{quarter + 1}"] == pytest.approx(mine.mean().item(), rel=1e-6)
    assert set(found) == {f"{name}{part}" for name in terms for part in ("", "_q1", "_q2", "_q3", "_q4")}


def test_padding_counts_nothing_and_the_batch_size_changes_nothing():
    def of(size):
        return ClassificationEvaluation(IMAGES, [], 30, size).evaluate(Linear(), torch.device("cpu"))  # type: ignore[arg-type]

    assert of(8) == pytest.approx(of(30), rel=1e-6)
    assert of(7) == pytest.approx(of(1), rel=1e-6)


def test_top_5_of_three_classes_is_always_right_and_ties_do_not_count_as_wrong():
    terms = classification_terms(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0]))
    assert terms["top5"].tolist() == [1, 1, 1, 1]
    assert terms["top1"].tolist() == [1, 1, 1, 1]
    wrong = classification_terms(torch.tensor([[1.0, 2, 3, 4, 5, 6]]), torch.tensor([0]))
    assert (wrong["top1"], wrong["top5"]) == (0, 0)


def test_the_upper_end_of_a_quarter_belongs_to_it():
    t = torch.tensor([0.0, 0.25, 0.2500001, 0.5, 0.75, 1.0], dtype=torch.float64)
    assert time_quarter(t, 4).tolist() == [0, 0, 1, 1, 2, 3]
