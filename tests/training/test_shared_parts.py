"""What is trained besides a plain denoiser, shared by two processes: it is the run of one, under DDP and FSDP, and goes on to the bit."""

import pytest
import torch
from two_processes import rows_of, run_in, torchrun

from learned import CHOSEN
from running import differences, saved_state, train_small

pytestmark = pytest.mark.slow

SHORT = (
    "trainer.max_steps=4",
    "trainer.log_every_n_steps=1",
    "eval.every=4",
    "eval.num_samples=10",
    "checkpoint.every=2",
    "checkpoint.keep_last=9",
)
EPS = "optimizer.eps=1.0e-5"
"""A weight without a gradient would otherwise follow the signs of rounding."""
KINDS = {
    "learned": (*CHOSEN, EPS, *SHORT),
    "batch_norm": ("network/norm=batch", EPS, *SHORT),
    "muon": ("optimizer=muon", "optimizer.parts.rest.optimizer.eps=1.0e-5", *SHORT),
    "average": ("objective._target_=learned.TowardsAverage", "+objective.track=warm_up", EPS, *SHORT),
}
"""A schedule and an objective that learn; buffers; two optimizers; an average of the model that is asked in every step."""
WAYS = ("ddp", "fsdp")
CLOSE = {"muon": 5e-4}
"""Kind -> how close weights come. Muon orthogonalises its steps, of 1e-3, in bfloat16, which rounds a difference in the last digit up."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Root of each run, on one process and on two; the latter have gone on once more after their second step."""
    folder = tmp_path_factory.mktemp("shared")
    plan: list = []
    for kind, words in KINDS.items():
        train_small(folder / f"{kind}_one", *words)
        for way in WAYS:
            root = folder / f"{kind}_{way}"
            command = ["train", [*words, f"run.root={root}", f"strategy={way}"]]
            plan += [command, ["keep", str(root), f"{root}_whole"], ["rewind", str(root), 2], command]
    torchrun(folder, plan)
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_two_processes_give_the_run_of_one(runs, kind, way):
    one, two = run_in(runs / f"{kind}_one"), run_in(runs / f"{kind}_{way}_whole")
    assert one.path.name == two.path.name
    for a, b in zip(rows_of(one), rows_of(two), strict=True):
        assert a == pytest.approx(b, rel=1e-4), a["step"]
    mine, theirs = saved_state(one), saved_state(two)
    atol = CLOSE.get(kind, 2e-5)
    torch.testing.assert_close(mine["state_dict"], theirs["state_dict"], rtol=1e-3, atol=atol)
    shadows = [state["callbacks"]["EMACallback"]["shadows"] for state in (mine, theirs)]
    torch.testing.assert_close(*shadows, rtol=1e-3, atol=atol)
    (a,), (b,) = mine["optimizer_states"], theirs["optimizer_states"]
    assert a["param_groups"] == b["param_groups"]
    torch.testing.assert_close(a["state"], b["state"], rtol=1e-3, atol=max(atol, 1e-5))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_going_on_is_exact(runs, kind, way):
    whole, again = (saved_state(run_in(runs / f"{kind}_{way}{what}")) for what in ("_whole", ""))
    for part in ("state_dict", "callbacks", "optimizer_states", "lr_schedulers"):
        assert differences(whole[part], again[part]) == []
