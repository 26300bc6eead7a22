"""Token shards on disk, and the batches made of them.

A shard is `NAME.T512.ids.bin` (uint16, rows of T+1 tokens), `NAME.T512.w.bin` (uint8, the loss weight of each token,
255 = 1) and perhaps `NAME.T512.seg.bin` (uint8): 0 for the tokens of a prefix that opens the row, 1, 2, ... for
conversations that each follow that prefix and see nothing of each other.
"""
import glob
import os
import re
from dataclasses import dataclass

import numpy as np


@dataclass
class Batch:
    """Rows one after another, each of even length. A token's weight here is that of the token that follows it."""

    ids: np.ndarray
    next: np.ndarray
    position: np.ndarray
    start: np.ndarray  # where in its row the token's conversation starts; 0 in the prefix
    weight: np.ndarray
    at: np.ndarray  # where the rows start, and the end
    prefix: np.ndarray  # the length of each row's prefix


def names(folder):
    paths = glob.glob(os.path.join(glob.escape(folder), "*.T*.w.bin"))
    return sorted({re.sub(r"\.T\d+\.w\.bin$", "", os.path.basename(p)) for p in paths})


def row_arrays(ids, weight, segment, n):
    """The first n tokens of a row as a batch's columns, and its prefix length."""
    even = n + n % 2
    out = np.zeros((5, even), np.float32)
    out[0, :n], out[1, :n], out[4, :n] = ids[:n], ids[1 : n + 1], weight[1 : n + 1] / np.float32(255)
    place, prefix = np.arange(even), 0
    out[2] = place
    if segment is not None:
        segment = np.concatenate((segment[:n], segment[n - 1 : n] if even > n else segment[:0]))
        opens = np.concatenate(([0], np.flatnonzero(segment[1:] != segment[:-1]) + 1))
        start = opens[np.searchsorted(opens, place, "right") - 1]
        prefix = int(opens[1]) if len(opens) > 1 and segment[0] == 0 else 0
        out[2] = np.where(start >= prefix, prefix + place - start, place) if prefix else place - start
        out[3] = start
    return out, prefix


class Shard:
    """All rows of one NAME in random order, cut into batches of about `tokens` tokens. Rows end at the last weight."""

    def __init__(self, folder, name, tokens, seed):
        base = os.path.join(glob.escape(folder), glob.escape(name))
        self.parts, rows = [], []
        for path in sorted(glob.glob(base + ".T*.ids.bin")):
            width = int(re.search(r"\.T(\d+)\.ids\.bin$", path).group(1)) + 1
            files = [(path, np.uint16)] + [(path[: -len("ids.bin")] + k, np.uint8) for k in ("w.bin", "seg.bin")]
            part = [np.memmap(p, t, "r").reshape(-1, width) if os.path.exists(p) else None for p, t in files]
            used = np.asarray(part[1]) > 0
            last = width - 1 - used[:, ::-1].argmax(1)
            rows += [(len(self.parts), row, int(n)) for row, n in enumerate(last) if n > 0 and used[row, n]]
            self.parts.append(part)
        rng = np.random.default_rng(seed)
        rng.shuffle(rows)
        self.batches, size = [[]], 0
        for row in rows:
            if self.batches[-1] and size + row[2] > tokens:
                self.batches.append([])
                size = 0
            self.batches[-1].append(row)
            size += row[2]

    def batch(self, i):
        columns, prefixes = [], []
        for part, row, n in self.batches[i]:
            column, prefix = row_arrays(*[None if p is None else p[row] for p in self.parts[part]], n)
            columns.append(column)
            prefixes.append(prefix)
        at = np.cumsum([0] + [c.shape[1] for c in columns])
        ids, following, position, start, weight = np.concatenate(columns, 1)
        whole = [np.ascontiguousarray(x, np.int32) for x in (ids, following, position, start)]
        return Batch(*whole, np.ascontiguousarray(weight), at.astype(np.int64), np.array(prefixes, np.int64))
