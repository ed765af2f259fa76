"""The training benchmark: contenders do equal work, take the steps that are timed, and learn."""

import gc
import time
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from benchmarks.peers import Architecture, BareLoop, Images, Work
from benchmarks.peers.contenders import DDPM_PYTORCH, DIFFLAB, DIFFUSERS, PLAIN, Contender
from benchmarks.peers.difflab_training import DifflabTraining, composition
from benchmarks.peers.plain_training import DECAY, PlainTraining
from benchmarks.peers.plain_unet import PlainUNet
from benchmarks.peers.turnstile import Turnstile
from benchmarks.settings import Settings
from benchmarks.training import MATMUL, SMALL, TINY, compared, in_float32, on_gpu
from here import Here
from torch import nn

from benchmarks import training as training_benchmark
from difflab.config.resolve import resolve_row
from difflab.types import Condition, Label

CPU = torch.device("cpu")
WITH_CLASSES = replace(TINY, resample="biggan", num_classes=10, depth=2, attention_resolutions=(16, 8))


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(rounds=1, quick=True, device=CPU, scratch=tmp_path)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """difflab's training under way."""
    folder = tmp_path_factory.mktemp("run")
    training = DifflabTraining(TINY, Images.of(TINY), 2, CPU, folder)
    yield training
    training.close()


@pytest.mark.parametrize("architecture", [TINY, WITH_CLASSES], ids=["conv", "biggan, classes"])
def test_the_plain_network_is_ours(architecture: Architecture):
    """Same weights, same noise found, same gradients."""
    architecture = replace(architecture, width=64)  # a group of one channel would make gradients of biases zero
    network = composition(architecture, 2, CPU).build("network")
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():  # also those that begin at zero and would hide what is before them
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=source))
    plain = PlainUNet(architecture)
    plain.take(network)
    x, step = torch.randn(2, 3, 16, 16, generator=source), torch.tensor([3.0, 700.0])
    label = torch.tensor([1, 9]) if architecture.num_classes else None
    theirs, found = network(x, step, Condition(label=Label(label))), plain(x, step, label)
    torch.testing.assert_close(found, theirs, rtol=1e-4, atol=1e-4)
    weight = torch.randn(x.shape, generator=source)
    (theirs * weight).sum().backward()
    (found * weight).sum().backward()
    for mine, expected in zip(plain.parameters(), network.parameters(), strict=True):
        assert mine.grad is not None
        expected_grad = expected.grad.reshape(mine.shape)
        torch.testing.assert_close(mine.grad, expected_grad, rtol=1e-4, atol=1e-4 * float(expected_grad.abs().max()))


@pytest.mark.parametrize("architecture", [TINY, SMALL], ids=["tiny", "measured"])
@pytest.mark.parametrize("project", [PLAIN, DIFFUSERS])
def test_equal_work(project: str, architecture: Architecture, ours: DifflabTraining, tmp_path: Path):
    if not Contender(project).is_installed:
        pytest.skip(f"{project} is not installed")
    wanted = ours.work if architecture is TINY else DifflabTraining.work_of(composition(architecture, 1, CPU))
    found = Contender(project).training(architecture, 1, CPU, tmp_path).work
    assert found.equals(wanted)
    assert found.parameters == wanted.parameters
    assert found.training_gflop == pytest.approx(wanted.training_gflop, rel=1e-6)


def test_other_work_is_not_equal():
    work = Work(1000, 2.0)
    assert not work.equals(Work(1001, 2.0))
    assert not work.equals(Work(1000, 2.01))


def test_work_is_counted_as_on_paper():
    """A linear map n -> m of one row: 2nm forward, 2nm for the weights; attention: two products forward, four backward."""
    layer = nn.Linear(8, 5)
    assert Work.counted(layer, lambda: layer(torch.ones(1, 8)).sum()) == Work(45, 4 * 8 * 5 / 1e9)
    q = torch.randn(1, 2, 16, 4, requires_grad=True)
    found = Work.counted(nn.Identity(), lambda: F.scaled_dot_product_attention(q, q, q).sum())
    assert found.training_gflop == 6 * 2 * (2 * 16 * 16 * 4) / 1e9


def test_turns_are_of_whole_steps(ours: DifflabTraining):
    tracks = ours.module.ema.tracks
    before = tracks.step
    began = time.perf_counter()
    seconds = ours.run(3)
    assert 0 < seconds <= time.perf_counter() - began
    assert tracks.step == before + 3
    time.sleep(0.05)
    assert tracks.step == before + 3, "it trains when it is not its turn"
    ours.run(1)
    assert tracks.step == before + 4


def test_the_watchers_of_the_command_are_there(ours: DifflabTraining):
    present = {type(callback).__name__ for callback in ours.module.trainer.callbacks}
    assert present >= {"EvaluationCallback", "DivergenceCallback", "ThroughputCallback", "ProgressCallback"}
    assert present >= {"SnapshotCallback", "Checkpoints", "ObjectiveCallback", "EMACallback", "GuidanceCallback"}


def test_what_ends_training_is_told():
    turnstile = Turnstile()

    def fails() -> None:
        raise ValueError("no such thing")

    turnstile.start(fails, 1)
    with pytest.raises(ValueError, match="no such thing"):
        turnstile.let_through(1)
    turnstile.start(lambda: None, 1)
    with pytest.raises(RuntimeError, match="max_steps"):
        turnstile.let_through(1)


def test_a_plain_step_in_micro_batches():
    """The gradient is the whole batch's, and the average follows the weights."""
    x_0 = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    gradients = []
    for micro_batch in (4, 1):
        peer = _without_chance(micro_batch)
        before = [average.clone() for average in peer._average]
        peer.step(x_0, None)
        gradients.append([p.grad for p in peer.network.parameters()])
        for average, old, new in zip(peer._average, before, peer.network.parameters(), strict=True):
            torch.testing.assert_close(average, DECAY * old + (1 - DECAY) * new.detach(), rtol=1e-5, atol=1e-8)
    assert all(gradient.any() for gradient in gradients[0])
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)


def _without_chance(micro_batch: int) -> PlainTraining:
    """With the same weights each time, none of them zero, and a loss without noise."""
    peer = PlainTraining(TINY, CPU, micro_batch)
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in peer.network.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=source))
    peer.loss = lambda x_0, label: (peer.network(x_0, torch.full((len(x_0),), 300), None) - x_0).square().mean()
    return peer


@pytest.mark.parametrize("project", [DIFFLAB, PLAIN])
def test_memory_is_let_go(project: str, tmp_path: Path):
    training = Contender(project).training(TINY, 1, CPU, tmp_path)
    training.run(1)
    model = training.module.model if isinstance(training, DifflabTraining) else training._peer.network  # pyright: ignore
    kept = weakref.ref(model)
    del model
    assert kept() is not None
    training.close()
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize("project", [DIFFLAB, PLAIN, DIFFUSERS, DDPM_PYTORCH])
def test_contenders_learn(project: str, tmp_path: Path):
    """They train what they are said to train: the loss falls from one, that of a network that says nothing."""
    contender = Contender(project, overrides=("optimizer.lr=0.002",))
    if not contender.is_installed:
        pytest.skip(f"{project} is not installed")
    torch.manual_seed(0)
    training = contender.training(TINY, 4, CPU, tmp_path)
    if isinstance(training, DifflabTraining):
        training.run(8)
        objective = training.module.objective
        totals = objective._sums["loss"][0].sum() / objective._sums["loss"][1].sum()
        assert float(totals) < 1
        training.close()
        return
    assert isinstance(training, BareLoop)
    peer = training._peer
    assert peer is not None
    for group in peer._optimizer.param_groups:  # pyright: ignore[reportAttributeAccessIssue]
        group["lr"] = 0.002
    x_0, _ = training._draw(16)
    with torch.no_grad():
        before = float(peer.loss(x_0, None))
    training.run(8)
    with torch.no_grad():
        assert float(peer.loss(x_0, None)) < min(1.0, before)
    training.close()


@pytest.mark.parametrize("case", [in_float32(SMALL, 3), on_gpu()], ids=["float32", "gpu"])
def test_a_case(case, settings: Settings, monkeypatch):
    """Equal networks by images, others by computation; what is for a GPU runs here but for the compilation."""
    bare = {
        name: replace(c, overrides=tuple(o for o in c.overrides if not o.startswith("compute=")))
        for name, c in case.contenders.items()
    }
    case = replace(case, contenders=bare).small()
    present = {name for name, contender in case.contenders.items() if contender.is_installed}
    monkeypatch.setattr(training_benchmark, "Apart", Here)
    by_images, by_computation = compared(case, settings, "case")
    unlike = {DDPM_PYTORCH} | ({DIFFUSERS} if case.architecture.resample == "biggan" else set())
    assert set(by_images.values) == present - unlike
    assert set(by_computation.values) == (present & unlike) | {DIFFLAB, MATMUL}
    assert by_images.unit == "images/s"
    gflop = by_images.facts[DIFFLAB]["training GFLOP/image"]
    assert by_computation.values[DIFFLAB] == [x * gflop for x in by_images.values[DIFFLAB]]
    goals = {(g.contender, g.against) for m in (by_images, by_computation) for g in m.goals}
    assert goals == {(g.contender, g.against) for g in case.goals if {g.contender, g.against} <= {*present, MATMUL}}
    assert all(len(values) == 1 and min(values) > 0 for values in by_images.values.values())


def test_what_a_gpu_computes_is_compiled():
    case = on_gpu()
    config = composition(case.architecture, case.batch, CPU, case.contenders[DIFFLAB].overrides).config
    assert config["compute"]["_target_"].endswith("CompiledBlocks")
    assert config["trainer"]["precision"] == "bf16-mixed"
    published = resolve_row(["+experiment=adm/imagenet64"]).config
    ignored = {"out_channels", "attention", "embedders", "in_channels", "image_size"}
    found, wanted = ({k: v for k, v in c["network"].items() if k not in ignored} for c in (config, published))
    assert found == wanted, "not ADM's network"
