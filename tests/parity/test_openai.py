"""Networks built from OpenAI's flags against numbers that OpenAI's own code computed (tests/golden/unet*, released_*)."""

import gzip
import json
from itertools import product
from pathlib import Path

import pytest
import torch
from openai_numbers import CONFIGS, GOLDEN, PARAMETERS, WITH_NUMBERS, flags_of, network_of, stored
from recipes import param_recipe, rs_randn

from difflab.checkpoints import openai
from difflab.networks import Encoder, SuperRes, UNet
from difflab.networks.layers import Trunk
from one_pass import each

RELEASED = json.loads((GOLDEN / "released_checkpoints.json").read_text(encoding="utf-8"))
RELEASED_KEYS = json.loads(gzip.decompress((GOLDEN / "released_checkpoint_keys.json.gz").read_bytes()))


def test_some_configurations_have_numbers():
    assert len(WITH_NUMBERS) >= 8
    assert len(CONFIGS) >= 19


def in_format(network, memory_format):
    """The network, its images in a memory format."""
    for part in network.modules():
        if isinstance(part, Trunk):
            part.memory_format = memory_format
    return network


@each(
    ("memory_format", "name"),
    product([torch.contiguous_format, torch.channels_last], WITH_NUMBERS),
)
def test_output_and_input_gradient_are_openais(name, memory_format):
    network, x = in_format(network_of(name), memory_format), stored(name, "x").requires_grad_()
    y, low_res = stored(name, "y"), stored(name, "low_res")
    out = network(x, stored(name, "t"), y, low_res)
    torch.testing.assert_close(out, stored(name, "out"), atol=1e-5, rtol=1e-5)
    (out * torch.from_numpy(rs_randn(103, *out.shape))).sum().backward()
    torch.testing.assert_close(x.grad, stored(name, "grad_x"), atol=1e-5, rtol=1e-5)
    whole_times = network(x, torch.tensor([0, 500, 999]), y, low_res)
    torch.testing.assert_close(whole_times, stored(name, "out_int_t(0,500,999)"), atol=1e-5, rtol=1e-5)


@each("name", CONFIGS)
def test_parameter_gradients_are_openais(name):
    """Every configuration has the norm and the sum of each parameter's gradient and the output's maximum."""
    config, network = CONFIGS[name], network_of(name)
    # two of the inputs are of another size: an image that is not square, and a small image enlarged by no whole number
    x = torch.from_numpy(rs_randn(101, 3, 3, 16, 24 if name == "u10_noattn_nonsq" else 16))
    small = 6 if name == "s02_sr3" else 8
    t = torch.tensor([0.0, 250.0, 999.0] if config["cls"] == "EncoderUNetModel" else [0.0, 37.5, 999.0])
    classes = config["kwargs"].get("num_classes")
    y = None if classes is None else torch.tensor([0, 3, classes - 1])
    low_res = torch.from_numpy(rs_randn(102, 3, 3, small, small)) if config["cls"] == "SuperResModel" else None
    out = network(x, t, y, low_res)
    assert out.abs().max().item() == pytest.approx(config["out_absmax"], rel=1e-5)
    (out * torch.from_numpy(rs_randn(103, *out.shape))).sum().backward()

    # tag each of OpenAI's tensors with its position, to see where the name mapping puts it
    tags = {p["name"]: torch.full(p["shape"], float(i)) for i, p in enumerate(PARAMETERS[name])}
    ours = {int(v.flatten()[0]): k for k, v in openai.convert(tags, flags_of(name)).items()}
    gradients = {k: p.grad.double() for k, p in network.named_parameters()}
    for i, theirs in enumerate(PARAMETERS[name]):
        gradient = gradients[ours[i]]
        # gradients that are zero but for rounding (a bias before a norm of one channel per group; 1e-13 in float64) need the absolute part
        assert gradient.norm().item() == pytest.approx(theirs["grad_norm"], rel=2e-5, abs=2e-4), theirs["name"]
        tolerance = 2e-5 * (1 + theirs["grad_norm"]) * gradient.numel() ** 0.5
        assert gradient.sum().item() == pytest.approx(theirs["grad_sum"], abs=tolerance), theirs["name"]


@each("name", CONFIGS)
def test_the_same_parameters_start_at_zero(name):
    network, config = openai.unet(flags_of(name)), CONFIGS[name]
    assert sum(p.numel() for p in network.parameters()) == config["nparams"]
    tags = {p["name"]: torch.full(p["shape"], float(i)) for i, p in enumerate(PARAMETERS[name])}
    theirs = {k: PARAMETERS[name][int(v.flatten()[0])]["name"] for k, v in openai.convert(tags, flags_of(name)).items()}
    # guided-diffusion lists the biases of norms not at all: they are zero in every network
    branches = {theirs[k] for k, p in network.named_parameters() if not p.any() and "norm" not in k}
    assert branches == set(config["zero_init"])


@each("name", RELEASED)
def test_released_checkpoints_load_with_nothing_missing_or_left_over(name):
    flags = openai.flags_for(f"models/{name}.pt")
    with torch.device("meta"):
        network = openai.unet(flags)
        weights = {key: torch.empty(shape) for key, shape in RELEASED_KEYS[name].items()}
    network.load_state_dict(openai.convert(weights, flags), assign=True)
    assert sum(p.numel() for p in network.parameters()) == RELEASED[name]["nparams"]
    assert isinstance(network.network, Encoder) == ("classifier" in name)
    assert isinstance(network.network, SuperRes) == ("upsampler" in name)


@each("name", RELEASED)
def test_published_flags_mean_what_the_table_says(name):
    assert openai.architecture(RELEASED[name]["flags"]) == openai.architecture(openai.flags_for(name))


IMPROVED = {
    # millions of weights as the paper and the files' names have them, whether times are rescaled (README, script_util.py), sides
    "imagenet64_uncond_100M_1500K": (121.06, True, 64, 4000),
    "imagenet64_uncond_vlb_100M_1500K": (121.06, True, 64, 4000),
    "imagenet64_cond_270M_250K": (273.05, False, 64, 4000),
    "cifar10_uncond_50M_500K": (52.55, True, 32, 4000),
    "cifar10_uncond_vlb_50M_500K": (52.55, True, 32, 4000),
    "upsample_cond_500K": (279.79, False, 256, 4000),
    "lsun_uncond_100M_1200K_bs128": (113.68, False, 256, 1000),
    "lsun_uncond_100M_2400K_bs64": (113.68, False, 256, 1000),
}


@each("name", IMPROVED)
def test_files_of_improved_diffusion_are_known(name):
    millions, rescaled, size, steps = IMPROVED[name]
    flags = openai.flags_for(f"models/{name}.pt")
    with torch.device("meta"):
        network = openai.unet(flags)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)
    assert network.network.image_size == size
    process = openai.diffusion(flags)
    assert (process.rescale_timesteps, process.diffusion_steps) == (rescaled, steps)
    assert process.noise_schedule == ("cosine" if size < 256 else "linear")


def test_flags_that_leave_the_times_open_are_asked():
    readme = "--image_size 64 --num_channels 128 --num_res_blocks 3 --learn_sigma True --noise_schedule cosine"
    with pytest.raises(ValueError, match="--diffusion_steps 4000 without --rescale_timesteps"):
        openai.diffusion(readme + " --diffusion_steps 4000")
    assert not openai.diffusion(readme + " --diffusion_steps 1000").rescale_timesteps  # no difference
    assert not openai.diffusion(readme + " --diffusion_steps 4000 --num_head_channels 64").rescale_timesteps
    assert openai.diffusion(readme + " --diffusion_steps 4000 --sigma_small False").rescale_timesteps
    given = openai.completed(readme + " --diffusion_steps 4000", "a/imagenet64_uncond_100M_1500K.pt")
    assert openai.diffusion(given).rescale_timesteps
    assert openai.completed(readme, "mine.pt") == readme


def test_small_sigmas_and_small_images_are_improved_diffusions():
    flags = "--image_size 32 --num_channels 32 --num_res_blocks 1 --sigma_small True --diffusion_steps 100"
    assert openai.diffusion(flags).sigma_small
    assert openai.architecture(flags).channel_mult == (1, 2, 2, 2)
    assert openai.architecture(flags.replace("32", "256", 1)).channel_mult == (1, 1, 2, 2, 4, 4)


@pytest.mark.parametrize("name", ["64x64_diffusion", "512x512_diffusion", "128_512_upsampler"])
def test_work_per_image_is_openais(name):
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        network = openai.unet(openai.flags_for(name))
        size = network.network.image_size
        x, t, y = torch.empty(1, 3, size, size), torch.empty(1), torch.zeros(1, dtype=torch.long)
        low_res = torch.empty(1, 3, size // 4, size // 4) if isinstance(network.network, SuperRes) else None
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(x, t, y, low_res)
    assert counter.get_total_flops() == RELEASED[name]["forward_flops_batch1"]


def test_load_reads_a_file(tmp_path):
    flags = "--image_size 16 --num_channels 32 --channel_mult 1,1 --num_res_blocks 1 --attention_resolutions 8 --num_head_channels 16 "
    flags += "--resblock_updown True --learn_sigma True"
    weights = {p["name"]: torch.from_numpy(param_recipe(p["name"], p["shape"])) for p in PARAMETERS["u03_adm"]}
    torch.save(weights, tmp_path / "mine.pt")
    network = openai.load(tmp_path / "mine.pt", flags)
    assert not network.training
    assert all(p.requires_grad for p in network.parameters())
    assert network.network.conv_out.weight.dtype == torch.float32
    out = network(stored("u03_adm", "x"), stored("u03_adm", "t"))
    torch.testing.assert_close(out, stored("u03_adm", "out"), atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match=r"no released model.*lsun_bedroom.*flags it was trained with"):
        openai.load(tmp_path / "mine.pt")


def test_a_pickle_that_runs_code_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"out.0.weight": Bomb()}, tmp_path / "lsun_cat.pt")
    with pytest.raises(Exception, match="which is not run"):
        openai.load(tmp_path / "lsun_cat.pt")
    assert not (tmp_path / "ran").exists()


def test_weights_that_do_not_fit_are_listed():
    flags = flags_of("u03_adm")
    weights = {p["name"]: torch.empty(p["shape"]) for p in PARAMETERS["u03_adm"]}
    weights["surprise"] = weights.pop("out.2.bias")
    weights["time_embed.0.bias"] = torch.empty(3)
    with pytest.raises(ValueError) as error:
        openai.convert(weights, flags)
    lines = str(error.value).splitlines()
    assert lines[1:4] == [
        "  not in the network: surprise",
        "  not in the weights: network.conv_out.bias",
        "  of another shape: time_embed.0.bias (3,), where network.time_embedding.hidden.bias has (128,)",
    ]
    with pytest.raises(ValueError, match=r"not in the network: input_blocks\.2\.0\.in_layers\.0\.weight"):
        openai.convert(weights, {**flags, "resblock_updown": False})


def test_flags_choose_the_network():
    with torch.device("meta"):
        assert type(openai.unet({}).network) is UNet
        assert type(openai.unet("--image_size 64").network) is UNet
        assert type(openai.unet("--image_size 64 --classifier_depth 4").network) is Encoder
        assert (
            type(openai.unet("--image_size 64 --classifier_depth 4 --num_channels 64").network) is UNet
        )  # a sampling script's command
        assert type(openai.unet("{'image_size': 128}").network) is Encoder
        assert type(openai.unet({"large_size": 64, "num_channels": 32}).network) is SuperRes


def test_constants_of_openais_code_can_be_given():
    flags = "--image_size 64 --channel_mult 1,2 --class_cond True --num_classes 10 --in_channels 1 --learn_sigma True"
    with torch.device("meta"):
        network = openai.unet(flags).network
        assert (network.in_channels, network.out_channels) == (1, 2)
        assert network.embedders["label"].weight.shape == (10, 512)
        assert openai.unet("--classifier_depth 1 --num_classes 10").network.out_channels == 10


def test_flags_have_openais_defaults_and_types():
    assert openai.diffusion(
        "--noise_schedule cosine --diffusion_steps 4000 --learn_sigma true --rescale_timesteps no"
    ) == openai.DiffusionFlags(
        "cosine",
        4000,
        learn_sigma=True,
        sigma_small=False,
        predict_xstart=False,
        timestep_respacing="",
        rescale_timesteps=False,
    )
    with torch.device("meta"):
        network = openai.unet({"attention_resolutions": [32, 16], "channel_mult": (0.5, 1), "image_size": 64}).network
    assert network.trunk.channels == [64, 128]
    assert network.trunk.attention_resolutions == {32}
    assert network.trunk.middle[1].heads == 4
    assert network.out_channels == 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--num_chanels 3", "did you mean 'num_channels'"),
        ("--num_channels", "pairs"),
        ("num_channels 3", "pairs"),
        ("--num_channels many", "takes int, got 'many'"),
        ({"class_cond": "maybe"}, "takes True or False"),
        ("--image_size 48", "--channel_mult"),
        ("--image_size 32 --classifier_depth 2", "no channel multipliers"),
        ("--image_size 64 --classifier_pool maximum", "spatial_v2, not 'maximum'"),
        ({"model_channels": 32, "chanel_mult": [1]}, "chanel_mult"),
    ],
)
def test_flags_that_make_no_sense_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        openai.unet(flags)
