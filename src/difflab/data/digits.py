"""The embedded default: handwritten digits that come with scikit-learn, so that nothing needs to be downloaded."""

import torch
from torch import Tensor

from difflab.data.arrays import InMemoryImages


class Digits(InMemoryImages):
    """1797 handwritten digits, 8x8, grey, 10 classes (Alpaydin and Kaynak, UCI 1998; CC BY 4.0).

    Grey levels 0..16 become round(255 v / 16).
    """

    def __init__(self):
        from sklearn.datasets import load_digits  # a second of import that only this set needs

        digits = load_digits()
        grey = torch.from_numpy(digits.images)[:, None]  # pyright: ignore[reportAttributeAccessIssue]
        labels: Tensor = torch.from_numpy(digits.target)  # pyright: ignore[reportAttributeAccessIssue]
        super().__init__((grey * 255 / 16).round().to(torch.uint8), labels, [str(n) for n in range(10)], "digits")
