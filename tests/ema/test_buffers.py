"""Buffers belong to the weights: each is averaged, copied or recomputed, saved with its track, and there when the track is used."""

import pytest
import torch
from torch import nn

from difflab.ema import Average, Constant, Tracks


class Counted(nn.Module):
    """A weight, and a buffer of each kind."""

    copied_buffers = ("newest",)
    mean: torch.Tensor
    coarse: torch.Tensor
    count: torch.Tensor
    newest: torch.Tensor

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.register_buffer("mean", torch.zeros(2, dtype=torch.float64))
        self.register_buffer("coarse", torch.zeros(2, dtype=torch.bfloat16))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("newest", torch.zeros(2))
        self.register_buffer("doubled", torch.zeros(2), persistent=False)

    def recompute_buffers(self) -> None:
        self.doubled = 2 * self.weight.detach()

    def forward(self) -> torch.Tensor:
        return self.doubled + self.weight

    def step(self, value: float) -> None:
        with torch.no_grad():
            for tensor in (self.weight, self.mean, self.coarse, self.newest):
                tensor.fill_(value)
            self.count += 1
        self.recompute_buffers()


def after(steps: int) -> tuple[Counted, Tracks]:
    module, tracks = Counted(), Tracks({"half": Constant(0.5)})
    tracks.start(module)
    for step in range(1, steps + 1):
        module.step(float(2**step))
        tracks.update(module)
    return module, tracks


def test_each_kind_is_averaged_copied_or_recomputed():
    """0, then 2: average 1; then 4: 2.5."""
    module, tracks = after(2)
    shadow = tracks.shadows["half"]
    assert shadow.keys() == {"weight", "mean", "coarse", "count", "newest"}
    for name in ("weight", "mean", "coarse"):
        assert shadow[name].tolist() == [2.5, 2.5]
    assert shadow["mean"].dtype == torch.float64
    assert shadow["coarse"].dtype == torch.float32
    assert (shadow["newest"].tolist(), int(shadow["count"])) == ([4.0, 4.0], 2)
    with tracks.applied_to(module, "half"):
        assert module.mean.tolist() == [2.5, 2.5]
        assert module.coarse.dtype == torch.bfloat16
        assert module.doubled.tolist() == [5.0, 5.0]
    assert (module.mean.tolist(), module.doubled.tolist()) == ([4.0, 4.0], [8.0, 8.0])


def test_they_go_on_from_a_checkpoint_and_begin_where_one_has_none():
    _, tracks = after(3)
    module, cut = after(2)
    saved = cut.state_dict()
    other = Tracks({"half": Constant(0.5)})
    other.load_state_dict(saved)
    resumed = Counted()
    resumed.load_state_dict(module.state_dict())
    other.start(resumed)
    resumed.step(8.0)
    other.update(resumed)
    for name, value in tracks.shadows["half"].items():
        assert torch.equal(other.shadows["half"][name], value), name
    older = {"step": 2, "shadows": {"half": {"weight": saved["shadows"]["half"]["weight"]}}}  # type: ignore[index]
    other.load_state_dict(older)
    other.start(module)
    assert torch.equal(other.shadows["half"]["mean"], module.mean)


def test_the_average_of_the_model_is_asked_without_a_trace():
    """In the middle of a step: the gradient of what was computed before is that of the model's own weights."""
    module, tracks = after(2)
    average = Average("half")
    average.bind(module, tracks)
    loss = (module.weight**2).sum()
    assert average().tolist() == [7.5, 7.5]
    assert module.training
    loss.backward()
    assert module.weight.grad is not None
    assert module.weight.grad.tolist() == [8.0, 8.0]


@pytest.mark.parametrize("enabled", [True, False])
def test_mixed_precision_keeps_no_weights_of_another_track(enabled):
    """autocast keeps a weight's bfloat16 form by the weight, whose values are others now, and then its own again."""
    torch.manual_seed(0)
    module, tracks = nn.Linear(3, 3), Tracks({"half": Constant(0.5)})
    tracks.start(module)
    average, x = Average("half"), torch.ones(1, 3)
    average.bind(module, tracks)
    with torch.no_grad():
        module.weight += 1
    with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
        mine, theirs, again = module(x), average(x), module(x)
    assert torch.equal(mine, again)
    assert float((mine - theirs).min()) > 2.9
    again.sum().backward()
    assert module.weight.grad is not None


def test_an_average_that_is_not_there_is_refused():
    module, tracks = after(1)
    with pytest.raises(
        ValueError, match=r"objective\.target = 'slow' is no average of the weights, of which there are half: choose"
    ):
        Average("slow").bind(module, tracks, "objective.target")
    with pytest.raises(RuntimeError, match="is bound to a model"):
        Average("half")()
