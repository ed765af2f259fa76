"""Other methods that draw images, each whole in one file: what denoisers are compared with. conf/experiment/rivals."""

from difflab.rivals.gan import GAN, Adversarial, Discriminator
from difflab.rivals.generator import AtOnce, Generator, ToImage
from difflab.rivals.realnvp import ExactLikelihood, Flow, RealNVP
from difflab.rivals.vae import VAE, Encoder, EvidenceBound

__all__ = [
    "GAN",
    "VAE",
    "Adversarial",
    "AtOnce",
    "Discriminator",
    "Encoder",
    "EvidenceBound",
    "ExactLikelihood",
    "Flow",
    "Generator",
    "RealNVP",
    "ToImage",
]
