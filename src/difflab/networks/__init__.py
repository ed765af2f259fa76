"""Networks: (x, time, cond) -> output, with no knowledge of diffusion."""

from difflab.networks.compute import CompiledBlocks, CompiledNetwork, Compute, KernelByKernel
from difflab.networks.dit import DiT
from difflab.networks.encoder import Encoder
from difflab.networks.mlp import MLP
from difflab.networks.ncsn import NCSN, NCSNv2
from difflab.networks.network import ClassTable, Network, initialise, networks_of, weights_sha256
from difflab.networks.self_conditioned import SelfConditioned
from difflab.networks.song import SongUNet
from difflab.networks.sr3 import SR3UNet
from difflab.networks.superres import SuperRes
from difflab.networks.unet import UNet

__all__ = [
    "MLP",
    "NCSN",
    "ClassTable",
    "CompiledBlocks",
    "CompiledNetwork",
    "Compute",
    "DiT",
    "Encoder",
    "KernelByKernel",
    "NCSNv2",
    "Network",
    "SR3UNet",
    "SelfConditioned",
    "SongUNet",
    "SuperRes",
    "UNet",
    "initialise",
    "networks_of",
    "weights_sha256",
]
