"""Data sets, the endless training stream and the LightningDataModule that serves it."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.data.annotations import Annotation, AnnotationInMemory
    from difflab.data.binary import BinaryDigits, Heartbeat
    from difflab.data.dataset import ArrayImages, ImageDataset, ImageSet, ImageSource, InMemoryImages
    from difflab.data.encoded import EncodedImages, FileImages
    from difflab.data.errors import DataError
    from difflab.data.folder import ImageFolder, ImageZip
    from difflab.data.huggingface import HuggingFaceImages
    from difflab.data.mixture import GaussianMixture, MixtureImages
    from difflab.data.module import ImageData
    from difflab.data.named_sets import Cifar10, Cifar10Packaged, Digits, FashionMnist, IdxImages, Mnist
    from difflab.data.npz import NpzImages
    from difflab.data.points import ArrayPoints, Checkerboard, InMemoryPoints, Moons, SwissRoll
    from difflab.data.scenes import Scenes
    from difflab.data.shards import ShardedImages, ShardedLatents
    from difflab.data.source_kind import SourceKind, kind_of, open_image_set
    from difflab.data.stream import Augmentation, GlobalBatches, HorizontalFlip, RandomCrop, TrainingStream
    from difflab.data.subset import AllButEveryNth, EveryNth, Shuffled

__all__ = [
    "AllButEveryNth",
    "Annotation",
    "AnnotationInMemory",
    "ArrayImages",
    "ArrayPoints",
    "Augmentation",
    "BinaryDigits",
    "Checkerboard",
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
    "Heartbeat",
    "HorizontalFlip",
    "HuggingFaceImages",
    "IdxImages",
    "ImageData",
    "ImageDataset",
    "ImageFolder",
    "ImageSet",
    "ImageSource",
    "ImageZip",
    "InMemoryImages",
    "InMemoryPoints",
    "MixtureImages",
    "Mnist",
    "Moons",
    "NpzImages",
    "RandomCrop",
    "Scenes",
    "ShardedImages",
    "ShardedLatents",
    "Shuffled",
    "SourceKind",
    "SwissRoll",
    "TrainingStream",
    "kind_of",
    "open_image_set",
]

on_demand(__name__)
