"""Packing data sets into shards, and telling what a data set is."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.data.packing.file_source import FileSource, describe, open_source
    from difflab.data.packing.formats import Example, Mds, Parquet, ShardFormat, WebDataset
    from difflab.data.packing.pack import cached_latents, pack
    from difflab.data.packing.preparation import ArrayFile, AsItIs, PackSource, Preparation, ResizedPng

__all__ = [
    "ArrayFile",
    "AsItIs",
    "Example",
    "FileSource",
    "Mds",
    "PackSource",
    "Parquet",
    "Preparation",
    "ResizedPng",
    "ShardFormat",
    "WebDataset",
    "cached_latents",
    "describe",
    "open_source",
    "pack",
]

on_demand(__name__)
