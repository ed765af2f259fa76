"""Speed and memory, side by side with the code that one would use instead.

    python -m benchmarks                       all of them; make bench does this with the other projects installed
    python -m benchmarks training sampling     some
    python -m benchmarks.check OLD NEW         what became slower by more than the noise

`contest` lets contenders take turns, `record` is what is written down, `table` and `picture` show it,
and `__main__.BENCHES` names the benchmarks.
"""
