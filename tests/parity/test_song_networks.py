"""NCSN++, DDPM++ and DDPM against numbers that score_sde and EDM computed, through the names of their weights."""

import gzip
import json
from functools import partial

import numpy as np
import pytest
import torch
from edm import GOLDEN
from recipes import param_recipe, rs_randn

from difflab.checkpoints import edm_networks
from difflab.checkpoints.score_sde import ScoreSDENetwork, architecture, build, convert, load
from difflab.denoiser import Denoiser
from difflab.networks import SongUNet
from difflab.networks.layers import (
    BigGANResample,
    FIRResample,
    FourierFeatures,
    LabelEmbedding,
    NoProgressiveInput,
    NoProgressiveOutput,
    NullableLabelEmbedding,
    ResidualInput,
    SinusoidFeatures,
    SkipInput,
    SkipOutput,
)
from difflab.parameterizations import Epsilon
from difflab.schedules import VarianceExploding
from difflab.types import Condition, Label
from difflab.variances import FixedSmall

PEER = np.load(GOLDEN / "song_networks.npz")
MAPS = json.loads(gzip.decompress((GOLDEN / "song_networks.json.gz").read_bytes()))
COMPUTED = sorted({key.split("/")[1] for key in PEER.files if key.startswith("score_sde/")})
PUBLISHED = [name for name in MAPS if "/published/" in name]
TINY = [name for name in MAPS if "/tiny/" in name]
VE = "score_sde/tiny/ve.cifar10_ncsnpp_continuous"


def weights(name):
    """By the recipe, under the peer's names."""
    named = [(key, shape) for key, shape in MAPS[name]["keys"] if key != "sigmas"]
    return {key: torch.from_numpy(param_recipe(key, tuple(shape))).float() for key, shape in named}


def arch_of(name):
    case = MAPS[name]
    return architecture(case["model"], case["image_size"], case["centered"])


def network(name):
    arch = arch_of(name)
    inside = build(arch)
    inside.load_state_dict(convert(weights(name), arch))
    return ScoreSDENetwork(inside, arch).eval()


def assert_near(actual, expected, tolerance):
    torch.testing.assert_close(
        actual.float(), torch.from_numpy(expected), rtol=0, atol=tolerance * float(abs(expected).max())
    )


def output_and_gradient(call, x, w):
    x.requires_grad_()
    out = call(x)
    return out, torch.autograd.grad((out * w).sum(), x)[0]


@pytest.mark.parametrize("case", COMPUTED)
def test_output_and_gradient_are_those_of_score_sde(case):
    name = f"score_sde/tiny/{case}"
    x, w = (torch.from_numpy(rs_randn(seed, 2, 3, 16, 16)) for seed in (9700, 9702))
    labels = torch.tensor(MAPS[name]["labels"])
    out, gradient = output_and_gradient(partial(network(name), labels=labels), x, w)
    assert_near(out, PEER[f"score_sde/{case}/out"], 1e-5)
    assert_near(gradient, PEER[f"score_sde/{case}/grad_x"], 1e-4)


@pytest.mark.parametrize("name", [*PUBLISHED, *TINY])
def test_names_and_counts_are_those_of_score_sde(name):
    """Nothing is missing, left over or misshapen; `frozen` frequencies count there as parameters."""
    arch = arch_of(name)
    with torch.device("meta"):
        ours = build(arch)
    theirs = {key: torch.empty(shape, device="meta") for key, shape in MAPS[name]["keys"]}
    converted = convert(theirs, arch)
    assert {key: value.shape for key, value in converted.items()} == {k: v.shape for k, v in ours.state_dict().items()}
    frequencies = sum(value.numel() for key, value in converted.items() if key.endswith("frequencies"))
    assert sum(p.numel() for p in ours.parameters()) + frequencies == MAPS[name]["nparams"]


def checkpoint(name):
    """A file's content as its training writes it: the averages as a list, in the order of the parameters that learn."""
    state = weights(name)
    frozen = [key for key in state if key.endswith(".W") and state[key].ndim == 1]
    model = {f"module.{key}": torch.zeros_like(value) if key not in frozen else value for key, value in state.items()}
    model = {"module.sigmas": torch.ones(1000), **model}
    shadows = [value for key, value in state.items() if key not in frozen]
    return {
        "model": model,
        "optimizer": {"state": {}},
        "step": 7,
        "ema": {"decay": 0.999, "num_updates": 7, "shadow_params": shadows},
    }


def test_a_checkpoint_file_is_read_safely(tmp_path):
    path = tmp_path / "checkpoint 7.pth"
    torch.save(checkpoint(VE), path)
    x, labels = torch.from_numpy(rs_randn(9700, 2, 3, 16, 16)), torch.tensor(MAPS[VE]["labels"])
    with torch.no_grad():
        expected, averaged = network(VE)(x, labels), load(path, arch_of(VE))(x, labels)
        last = load(path, arch_of(VE), averaged=False)(x, labels)
    assert torch.equal(averaged, expected)
    assert not last.any()


def test_a_denoiser_of_a_released_network_follows_its_score():
    """x_0 = x + sigma^2 score in its range [0, 1], the same in ours."""
    peer = network(VE)
    denoiser = Denoiser(peer.network, VarianceExploding(0.02, 100.0), Epsilon(), FixedSmall()).eval()
    x, t = torch.from_numpy(rs_randn(9700, 2, 3, 16, 16)), torch.tensor([0.3, 0.6], dtype=torch.float64)
    sigma = denoiser.schedule(t).sigma / 2
    with torch.no_grad():
        score = peer(x, sigma)
        ours = denoiser(2 * x - 1, t, Condition()).x0
    theirs = 2 * (x + (sigma**2).float()[:, None, None, None] * score) - 1
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_other_files_are_refused_in_a_line(tmp_path):
    arch, path = arch_of(VE), tmp_path / "other.pth"
    torch.save({"weights": torch.ones(2)}, path)
    with pytest.raises(ValueError, match="no weights at `model`"):
        load(path, arch)
    content = checkpoint(VE)
    content["ema"]["shadow_params"].pop()
    torch.save(content, path)
    with pytest.raises(ValueError, match="shadow_params are not averages of the weights"):
        load(path, arch)
    torch.save(checkpoint("score_sde/tiny/vp.cifar10_ddpmpp"), path)
    with pytest.raises(ValueError, match="not those of the ncsnpp that the configuration means"):
        load(path, arch)
    with pytest.raises(ValueError, match=r"only ncsnpp \(DDPM\+\+, too\) and ddpm are read"):
        architecture({"name": "ncsnv2_64"}, 32, False)
    with pytest.raises(ValueError, match="progressive_input='input' of score_sde: known are"):
        architecture(MAPS[VE]["model"] | {"progressive_input": "input"}, 32, False)
    with pytest.raises(ValueError, match="is not what score_sde's published networks have"):
        architecture(MAPS[VE]["model"] | {"nonlinearity": "elu"}, 32, False)


def song(case, embedders=None):
    """Our network of EDM's constructor arguments."""
    kwargs = MAPS[f"edm/{case}"]["kwargs"]
    taps = kwargs.get("resample_filter", [1, 1])
    enters = {"residual": partial(ResidualInput, taps=taps), "skip": partial(SkipInput, taps=taps)}
    leaves = {"skip": partial(SkipOutput, taps=taps)}
    return SongUNet(
        16,
        3,
        3,
        embedders=embedders or {},
        noise_features=FourierFeatures if kwargs.get("embedding_type") == "fourier" else SinusoidFeatures,
        resample=BigGANResample() if taps == [1, 1] else FIRResample(taps),
        progressive_input=enters.get(kwargs.get("encoder_type", ""), NoProgressiveInput),
        progressive_output=leaves.get(kwargs.get("decoder_type", ""), NoProgressiveOutput),
        width=kwargs["model_channels"],
        channel_mult=kwargs["channel_mult"],
        depth=kwargs["num_blocks"],
        attention_resolutions=kwargs["attn_resolutions"],
    )


def edm_weights(case):
    state = weights(f"edm/{case}")
    if case == "ncsnpp":  # a buffer there
        state["map_noise.freqs"] = torch.from_numpy(param_recipe("map_noise.freqs", (32,))).float()
    return {f"model.{name}": value for name, value in state.items()}


def test_output_and_gradient_are_those_of_edm():
    unet = song("ncsnpp").eval()
    unet.load_state_dict(edm_networks.convert(edm_weights("ncsnpp"), unet))
    x, w = (torch.from_numpy(rs_randn(seed, 3, 3, 16, 16)) for seed in (231, 233))
    times = torch.from_numpy(PEER["edm/ncsnpp/noise_labels"])
    out, gradient = output_and_gradient(lambda x: unet(x, times, Condition()), x, w)
    assert_near(out, PEER["edm/ncsnpp/out"], 1e-5)
    assert_near(gradient, PEER["edm/ncsnpp/grad_x"], 1e-4)


@pytest.mark.parametrize("embedding", [NullableLabelEmbedding, LabelEmbedding])
def test_classes_are_those_of_edm(embedding):
    """W (sqrt(n) one_hot) + b of a class, and b of none."""
    unet, state = song("ddpmpp", {"label": partial(embedding, 5)}), edm_weights("ddpmpp")
    unet.load_state_dict(edm_networks.convert(state, unet))
    weight, bias = state["model.map_label.weight"], state["model.map_label.bias"]
    cond = Condition(label=Label(torch.tensor([3])))
    expected = weight @ (torch.eye(5)[3] * 5**0.5) + bias
    torch.testing.assert_close(unet.embedders["label"](cond)[0], expected)
    if embedding is NullableLabelEmbedding:
        torch.testing.assert_close(unet.embedders["label"](Condition())[0], bias)


def test_names_and_counts_are_those_of_edm():
    for case in ("ncsnpp", "skipskip"):
        unet = song(case)
        unet.load_state_dict(edm_networks.convert(edm_weights(case), unet))
        assert sum(p.numel() for p in unet.parameters()) == MAPS[f"edm/{case}"]["nparams"]
    with pytest.raises(ValueError, match="not those of this SongUNet"):
        edm_networks.convert(edm_weights("skipskip"), song("ncsnpp"))
