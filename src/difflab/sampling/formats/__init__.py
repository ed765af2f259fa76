"""Ways to hand a set of images on."""

from difflab.sampling.formats.folder import Folder
from difflab.sampling.formats.format import Format, check_pictures
from difflab.sampling.formats.npz import Npz
from difflab.sampling.formats.webdataset import WebDataset
from difflab.sampling.formats.zip_archive import Zip

__all__ = ["Folder", "Format", "Npz", "WebDataset", "Zip", "check_pictures"]
