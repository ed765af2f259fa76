"""How many heads an attention has: a fixed number, or as many as heads of a fixed width make (arXiv 2105.05233, table 2)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HeadCount:
    """The same number of heads at every level; they get wider with the channels."""

    count: int

    def __call__(self, channels: int) -> int:
        if self.count < 1 or channels % self.count:
            raise ValueError(
                f"{self.count} attention heads do not divide the {channels} channels of a level; "
                "change the number of heads, width or channel_mult, or use heads of a fixed width"
            )
        return self.count


@dataclass(frozen=True)
class HeadWidth:
    """Heads of the same number of channels at every level; there are more of them where there are more channels."""

    channels: int

    def __call__(self, channels: int) -> int:
        if self.channels < 1 or channels % self.channels:
            raise ValueError(
                f"attention heads of {self.channels} channels do not divide the {channels} channels of a level; "
                "change the width of the heads, width or channel_mult, or use a fixed number of heads"
            )
        return channels // self.channels
