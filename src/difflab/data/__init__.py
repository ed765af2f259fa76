"""Data sets, the endless training stream and the LightningDataModule that serves it."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.data.arrays import ArrayImages, InMemoryImages
    from difflab.data.augmentation import Augmentation, HorizontalFlip, RandomCrop
    from difflab.data.cifar10 import Cifar10
    from difflab.data.cifar10_packaged import Cifar10Packaged
    from difflab.data.dataset import ImageDataset
    from difflab.data.digits import Digits
    from difflab.data.encoded import EncodedImages
    from difflab.data.errors import DataError
    from difflab.data.fashion_mnist import FashionMnist
    from difflab.data.file_images import FileImages
    from difflab.data.folder import ImageFolder
    from difflab.data.huggingface import HuggingFaceImages
    from difflab.data.idx import IdxImages
    from difflab.data.image_set import ImageSet
    from difflab.data.mixture import GaussianMixture
    from difflab.data.mixture_images import MixtureImages
    from difflab.data.mnist import Mnist
    from difflab.data.module import ImageData
    from difflab.data.npz_images import NpzImages
    from difflab.data.open_image_set import open_image_set
    from difflab.data.parts import AllButEveryNth, EveryNth
    from difflab.data.sharded_images import ShardedImages
    from difflab.data.sharded_latents import ShardedLatents
    from difflab.data.source_kind import SourceKind, kind_of
    from difflab.data.stream import GlobalBatches, TrainingStream
    from difflab.data.zip_archive import ImageZip

__all__ = [
    "AllButEveryNth",
    "ArrayImages",
    "Augmentation",
    "Cifar10",
    "Cifar10Packaged",
    "DataError",
    "Digits",
    "EncodedImages",
    "EveryNth",
    "FashionMnist",
    "FileImages",
    "GaussianMixture",
    "GlobalBatches",
    "HorizontalFlip",
    "HuggingFaceImages",
    "IdxImages",
    "ImageData",
    "ImageDataset",
    "ImageFolder",
    "ImageSet",
    "ImageZip",
    "InMemoryImages",
    "MixtureImages",
    "Mnist",
    "NpzImages",
    "RandomCrop",
    "ShardedImages",
    "ShardedLatents",
    "SourceKind",
    "TrainingStream",
    "kind_of",
    "open_image_set",
]

on_demand(__name__)
