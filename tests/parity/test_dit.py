"""DiT against numbers of facebookresearch/DiT, willisma/SiT and diffusers (tests/golden/dit*), whose weights load by their names."""

import gzip
import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from recipes import param_recipe, rs_randn
from safetensors.torch import save_file
from torch import nn

from difflab.checkpoints import dit
from difflab.networks import DiT
from difflab.networks.layers import AdaLN, AdaLNZero, CrossAttended, InContext, NullableLabelEmbedding
from difflab.networks.layers.embeddings import sinusoids
from difflab.networks.layers.tokens import positions
from difflab.types import NULL_LABEL, Condition, Label
from one_pass import each

GOLDEN = Path(__file__).parents[1] / "golden"
KNOWN = json.loads(gzip.decompress((GOLDEN / "dit.json.gz").read_bytes()))
NUMBERS = np.load(GOLDEN / "dit.npz")
NETWORKS = [name for name in KNOWN["cases"] if name.startswith(("dit/", "sit/"))]
PUBLISHED = [name for name in KNOWN["maps"] if name.startswith("published/")]
NULL = 7
HEADS = {"S": 6, "B": 12, "L": 16, "XL": 16}
DEPTH = {"S": 12, "B": 12, "L": 24, "XL": 28}
WIDTH = {"S": 384, "B": 768, "L": 1024, "XL": 1152}


def weights(keys):
    """The recipe's weights by the peer's names; of the table of positions only its shape counts."""
    made = {
        name: torch.from_numpy(param_recipe(name, tuple(shape))).float() for name, shape in keys if name != "pos_embed"
    }
    return made | {name: torch.zeros(shape) for name, shape in keys if name == "pos_embed"}


def saved(name, folder):
    """A file as the project's, with the recipe's weights."""
    torch.save(weights(KNOWN["maps"][f"tiny/{name.replace('/', '_')}"]["keys"]), folder / "model.pt")
    return folder / "model.pt"


def network_of(name, folder):
    heads = KNOWN["cases"][name]["kwargs"]["num_heads"]
    return dit.load(saved(name, folder), f"--num_heads {heads}", mean_only=name.startswith("sit"))


def told(numbers):
    label = torch.tensor(numbers)
    return Condition(label=Label(torch.where(label == NULL, NULL_LABEL, label)))


def assert_near(found, name, tolerance=1e-5):
    wanted = torch.from_numpy(NUMBERS[name])
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() <= tolerance * wanted.abs().max()


def inputs(name):
    case = KNOWN["cases"][name]
    x = torch.from_numpy(rs_randn(10100, 4, case["kwargs"]["in_channels"], 8, 8))
    return x, torch.tensor(case["t"], dtype=torch.float64), case["y"]


def test_some_cases_have_numbers():
    assert len(NETWORKS) >= 6
    assert len(PUBLISHED) >= 15


@each("name", NETWORKS)
def test_output_and_input_gradient_are_the_papers(name, tmp_path):
    network, (x, t, y) = network_of(name, tmp_path), inputs(name)
    out = network(x.requires_grad_(), t, told(y))
    assert_near(out, f"{name}/out")
    (out * torch.from_numpy(rs_randn(10101, *out.shape))).sum().backward()
    assert x.grad is not None
    assert_near(x.grad, f"{name}/grad_x", 1e-4)


@each("name", NETWORKS)
def test_classes_are_dropped_as_in_training(name, tmp_path):
    network, (x, t, y) = network_of(name, tmp_path), inputs(name)
    dropped = np.random.RandomState(KNOWN["cases"][name]["train_noise_seed"]).rand(4) < 0.1
    assert_near(network(x, t, told(np.where(dropped, NULL, y).tolist())), f"{name}/train_out")


@each("name", NETWORKS)
def test_guidance_of_three_channels_is_that_of_the_published_code(name, tmp_path):
    """Their `forward_with_cfg` guides the first three channels alone; ours guides all of the mean."""
    network, (x, t, y) = network_of(name, tmp_path), inputs(name)
    out = network(torch.cat([x[:2], x[:2]]), t[[0, 1, 0, 1]], told(y))
    cond, uncond = out[:, :3].chunk(2)
    guided = uncond + 2.5 * (cond - uncond)
    assert_near(torch.cat([torch.cat([guided, guided]), out[:, 3:]], dim=1), f"{name}/cfg2.5")


@each("name", [name for name in NUMBERS if name.startswith("pos_embed")])
def test_positions_are_the_papers(name):
    dim, grid = map(int, name.split("/")[1].split("x"))
    table = positions((grid, grid), dim, torch.device("cpu")).flatten(0, 1)
    if name.startswith("pos_embed_big"):
        case = KNOWN["cases"][name.removesuffix("/rows")]
        assert table.sum().item() == pytest.approx(case["sum"], rel=1e-6)
        table = table[[0, 1, grid, grid * grid - 1]]
    assert_near(table.float(), name, 1e-6)


@each("name", [name for name in NUMBERS if name.startswith("t_embed")])
def test_sinusoids_of_time_are_the_papers(name):
    times = torch.tensor(KNOWN["cases"][name.removesuffix("/emb")]["t"])
    assert_near(
        sinusoids(times, NUMBERS[name].shape[1]), name, 5e-5
    )  # 999 times a frequency that is rounded to float32


def made(name, **changes):
    """A published network on the meta device: published/DiT-XL/2@32."""
    model, _, size = name.removeprefix("published/").partition("@")
    kind, _, patch = model.partition("-")[2].partition("/")
    values = {"patch": int(patch), "width": WIDTH[kind], "depth": DEPTH[kind], "heads": HEADS[kind]}
    with torch.device("meta"):
        return DiT(int(size), 4, 8, embedders={"label": partial(NullableLabelEmbedding, 1000)}, **values | changes)


def flops(network):
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        x, label = torch.empty(1, 4, 32, 32), torch.zeros(1, dtype=torch.long)
        network(x, torch.empty(1), Condition(label=Label(label)))
    return counter.get_total_flops()


@each("name", PUBLISHED)
def test_published_names_are_those_of_the_network(name):
    published, network = KNOWN["maps"][name], made(name)
    table = next(shape for key, shape in published["keys"] if key == "pos_embed")
    theirs = {dit.renamed(key): tuple(shape) for key, shape in published["keys"] if key != "pos_embed"}
    assert theirs == {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert sum(p.numel() for p in network.parameters()) == published["nparams"] - np.prod(table)


@pytest.mark.parametrize("name", ["published/DiT-S/2@32", "published/DiT-B/8@32", "published/DiT-XL/2@32"])
def test_work_per_image_is_the_papers(name):
    assert flops(made(name)) == KNOWN["maps"][name]["flops_batch1"]


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_work_of_all_published_sizes_is_the_papers(name):
    assert flops(made(name)) == KNOWN["maps"][name]["flops_batch1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "gflops", "millions"),
    [(InContext(), 119.37, 449), (CrossAttended(), 137.62, 598), (AdaLN(), 118.56, 600), (AdaLNZero(), 118.64, 675)],
)
def test_designs_have_the_papers_size_and_work(design, gflops, millions):
    """Its last table has Gflops of multiply-adds, 0.02 more than torch's counter finds for each of them."""
    network = made("published/DiT-XL/2@32", block=design)
    assert flops(network) / 2e9 == pytest.approx(gflops, abs=0.03)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.6)


class DiffusersTime(nn.Module):
    """diffusers' embedding of time: 10000^(-k / (n - 1)) in place of the 10000^(-k / n) of DiT, with which its models were trained."""

    def __init__(self, ours):
        super().__init__()
        self.ours = ours

    def forward(self, time):
        half = self.ours.width // 2
        angle = time.float()[:, None] * torch.exp(-math.log(10_000) * torch.arange(half) / (half - 1))
        return self.ours.output(nn.functional.silu(self.ours.hidden(torch.cat([angle.cos(), angle.sin()], dim=1))))


def test_diffusers_folder_gives_the_same_network(tmp_path):
    """But for the frequencies of time, and the epsilon of a norm."""
    case = KNOWN["cases"]["diffusers/dit_p4"]
    config = {
        key: case["kwargs"][key] for key in ("num_attention_heads", "num_embeds_ada_norm", "patch_size", "sample_size")
    }
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(weights(KNOWN["maps"]["diffusers/dit_p4"]["keys"]), tmp_path / "diffusion_pytorch_model.safetensors")
    network = dit.load(tmp_path)
    x, t = torch.from_numpy(rs_randn(11520, 2, 4, 8, 8)), torch.tensor(case["t"], dtype=torch.float64)
    network.time_embedding = DiffusersTime(network.time_embedding)
    assert_near(network(x, t, told(case["y"])), "diffusers/dit_p4/out", 3e-5)


def test_diffusers_names_of_xl_are_all_known():
    with torch.device("meta"):
        theirs = {name: torch.empty(shape) for name, shape in KNOWN["maps"]["diffusers/xl2"]["keys"]}
    firsts = {name: value for name, value in theirs.items() if ".emb." not in name or "blocks.0." in name}
    ours = {name: tuple(value.shape) for name, value in dit.from_diffusers(firsts).items()}
    assert ours == {name: tuple(value.shape) for name, value in made("published/DiT-XL/2@32").state_dict().items()}


def test_a_network_begins_as_the_papers():
    network = DiT(
        8, 4, 8, embedders={"label": partial(NullableLabelEmbedding, 7, std=0.02)}, width=128, depth=2, heads=4
    )
    zero = {name for name, value in network.named_parameters() if not value.any()}
    assert zero == {dit.renamed(name) for name in KNOWN["zero_init"]}
    spread = {name: value.std().item() for name, value in network.named_parameters()}
    for name in ("embedders.label.weight", "time_embedding.hidden.weight", "time_embedding.output.weight"):
        assert spread[name] == pytest.approx(0.02, rel=0.1)
    for name in ("enter", "blocks.1.0.attention.qkv", "blocks.0.0.mlp.hidden"):
        rows, columns = network.get_parameter(f"{name}.weight").flatten(1).shape
        assert spread[f"{name}.weight"] == pytest.approx((2 / (rows + columns)) ** 0.5, rel=0.1)


def test_all_but_the_class_of_a_model_without_a_null_row_is_loaded(tmp_path):
    keys = KNOWN["maps"]["tiny/dit_nodrop"]["keys"]
    torch.save({"ema": weights(keys), "args": {}}, tmp_path / "0400000.pt")
    network = dit.load(tmp_path / "0400000.pt", "--num_heads 4 --num_classes 7")
    assert network.state_dict()["embedders.label.weight"].shape == (7, 32)
    with pytest.raises(ValueError, match="dropped label"):
        network(*inputs("dit/a")[:2], told([0, 1, 2, NULL]))


def test_what_is_no_dit_is_refused_in_one_line(tmp_path):
    file = saved("dit/a", tmp_path)
    with pytest.raises(ValueError, match=r"width of 32 .*--num_heads"):
        dit.load(file)
    with pytest.raises(ValueError, match="--num_classes"):
        dit.load(file, "--heads 4")
    state = torch.load(file)
    for change, said in (
        ({"blocks.0.attn.qkv.bias": None}, "blocks.0.0.attention.qkv.bias is missing"),
        ({"rope.weight": torch.zeros(2)}, "rope.weight is left over"),
        ({"blocks.1.mlp.fc1.bias": torch.zeros(3)}, "is (3,), not (128,)"),
    ):
        torch.save({k: v for k, v in (state | change).items() if v is not None}, file)
        with pytest.raises(ValueError) as caught:
            dit.load(file, "--num_heads 4")
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
