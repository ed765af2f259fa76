"""Files that somebody else may have written: read within bounds of size, depth and time, and with one line that says what is wrong.

All of difflab reads JSON, YAML, safetensors, checkpoints, .npy and names in archives by this package (tests/test_architecture.py).
"""

from difflab.reading.json import parse_json, read_json
from difflab.reading.text import FileError, printable, read_bytes, read_text, shown
from difflab.reading.yaml import checked_yaml, parse_yaml, read_yaml

__all__ = [
    "FileError",
    "checked_yaml",
    "parse_json",
    "parse_yaml",
    "printable",
    "read_bytes",
    "read_json",
    "read_text",
    "read_yaml",
    "shown",
]
