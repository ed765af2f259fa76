"""The experiments that come with difflab."""

from __future__ import annotations

from difflab.cli.places import config_directory


def listing() -> str:
    """Every experiment with the first line of its header."""
    folder = config_directory() / "experiment"
    rows = []
    for path in sorted(folder.rglob("*.yaml")):
        comments = [line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
        described = [line for line in comments if not line.startswith("@package")]
        rows.append((path.relative_to(folder).with_suffix("").as_posix(), described[0] if described else ""))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {what}" for name, what in rows)
