"""The embedded model's tokenizer: builds its vocabulary from a text sample, and encodes like llama.cpp's "llama" type.

Words are segmented by byte-pair merges inside runs of letters only; digits, punctuation and line ends stay single.
So a name has the same pieces wherever it stands, and copying it is copying tokens. Only the first piece of a word
may take in the space before it, and those merges come last. Whatever is not in the vocabulary falls back to bytes.

    python3 vocab.py sample.txt vocab.json --piece '{"tool":"' --piece '"}}'
"""
import argparse
import heapq
import json
import re
from collections import Counter, defaultdict

NORMAL, UNKNOWN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6  # GGUF's tokenizer.ggml.token_type
CONTROLS = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
END = 1 + CONTROLS.index("<|end|>")
SPACE = "\u2581"  # how SentencePiece writes a space
LETTERS = re.compile("[A-Za-z]+")


def split_on(pieces, text):
    """Cuts a text at the given pieces, longest piece first as llama.cpp does: a list of (string, is a piece)."""
    parts = [(text, False)]
    for piece in sorted(pieces, key=lambda p: -len(p)):
        cut = []
        for part, fixed in parts:
            if fixed or piece not in part:
                cut.append((part, fixed))
                continue
            for i, rest in enumerate(part.split(piece)):
                if i:
                    cut.append((piece, True))
                if rest:
                    cut.append((rest, False))
        parts = cut
    return parts


def train_merges(words, count):
    """Byte-pair merges in the order of learning: the most frequent neighbours inside the words, again and again."""
    words = [(list(word), n) for word, n in words.items()]
    pairs, where = Counter(), defaultdict(set)
    for i, (symbols, n) in enumerate(words):
        for pair in zip(symbols, symbols[1:]):
            pairs[pair] += n
            where[pair].add(i)
    merges = []
    while pairs and len(merges) < count:
        best = max(pairs, key=lambda p: (pairs[p], p))
        if pairs[best] <= 0:
            break
        joined = "".join(best)
        if joined not in merges:
            merges.append(joined)
        for i in list(where[best]):
            symbols, n = words[i]
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] -= n
                if pairs[pair] <= 0:
                    del pairs[pair]
                where[pair].discard(i)
            k, out = 0, []
            while k < len(symbols):
                pair = k + 1 < len(symbols) and (symbols[k], symbols[k + 1]) == best
                out.append(joined if pair else symbols[k])
                k += 2 if pair else 1
            words[i] = (out, n)
            for pair in zip(out, out[1:]):
                pairs[pair] += n
                where[pair].add(i)
    return merges


class Tokenizer:
    """llama.cpp's SentencePiece-like segmentation: the best-scored pair of neighbours that makes a piece, first."""

    def __init__(self, vocab):
        self.vocab = vocab
        self.ids = {v["piece"]: i for i, v in enumerate(vocab)}
        self.user = [v["piece"] for v in vocab if v["type"] == USER]
        self.control = [v["piece"] for v in vocab if v["type"] == CONTROL]
        self.normal = {v["piece"]: v["score"] for v in vocab if v["type"] == NORMAL}
        self.longest = max(map(len, self.normal))

    def pieces(self, text):
        """Segments a text that holds no control and no user-defined piece."""
        symbols = list(text.replace(" ", SPACE))
        after = list(range(1, len(symbols) + 1))
        before = list(range(-1, len(symbols) - 1))
        queue = []

        def offer(left, right):
            if left < 0 or right >= len(symbols):
                return
            both = symbols[left] + symbols[right]
            if len(both) <= self.longest and both in self.normal:
                heapq.heappush(queue, (-self.normal[both], left, right, both))

        for i in range(len(symbols) - 1):
            offer(i, i + 1)
        while queue:
            _, left, right, both = heapq.heappop(queue)
            if symbols[left] is None or symbols[right] is None or symbols[left] + symbols[right] != both:
                continue
            symbols[left], symbols[right] = both, None
            after[left] = after[right]
            if after[left] < len(symbols):
                before[after[left]] = left
            offer(before[left], left)
            offer(left, after[left])
        return [s for s in symbols if s is not None]

    def encode(self, text, special=False):
        out = []
        for part, fixed in split_on(self.user + (self.control if special else []), text):
            for piece in [part] if fixed else self.pieces(part):
                found = fixed or piece in self.normal
                out += [self.ids[piece]] if found else [self.ids[f"<0x{b:02X}>"] for b in piece.encode()]
        return out


def build(text, pieces, merges=560, spaced=250, rare=20, multiple=64):
    """The vocabulary of a sample: fixed tokens, its characters, `merges` letter pieces, `spaced` pieces with a space."""
    vocab = [{"piece": "<unk>", "score": 0, "type": UNKNOWN}]
    vocab += [{"piece": p, "score": 0, "type": CONTROL} for p in CONTROLS]
    vocab += [{"piece": f"<0x{b:02X}>", "score": 0, "type": BYTE} for b in range(256)]
    vocab += [{"piece": p, "score": 0, "type": USER} for p in pieces]
    plain = [part for part, fixed in split_on(pieces + CONTROLS, text) if not fixed]
    counts = Counter()
    for part in plain:
        counts.update(part)
    ascii = ["\n"] + [chr(c) for c in range(33, 127)]
    others = sorted(c for c, n in counts.items() if n >= rare and c not in ascii and ord(c) > 126 and c != SPACE)
    vocab += [{"piece": c, "score": 0, "type": NORMAL} for c in [SPACE] + ascii + others]
    words = Counter()
    for part in plain:
        words.update(LETTERS.findall(part))
    for rank, piece in enumerate(train_merges(words, merges)):
        vocab.append({"piece": piece, "score": -1 - rank, "type": NORMAL})
    tokenizer = Tokenizer(vocab)
    after_space = Counter()
    for part in plain:
        after_space.update(re.findall("(?<= )[A-Za-z]+", part))
    first = Counter()
    for word, n in after_space.items():
        first[tokenizer.pieces(word)[0]] += n
    for rank, (piece, _) in enumerate(first.most_common(spaced)):
        vocab.append({"piece": SPACE + piece, "score": -10000 - rank, "type": NORMAL})
    for i in range(-len(vocab) % multiple):
        vocab.append({"piece": f"<|unused{i}|>", "score": 0, "type": CONTROL})
    return vocab


if __name__ == "__main__":
    arg = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arg.add_argument("sample")
    arg.add_argument("out")
    arg.add_argument("--piece", action="append", default=[], help="a structural piece, one token wherever it occurs")
    arg.add_argument("--merges", type=int, default=560)
    arg.add_argument("--spaced", type=int, default=250)
    a = arg.parse_args()
    with open(a.sample, encoding="utf-8", newline="") as f:
        sample = f.read()
    result = build(sample, a.piece, a.merges, a.spaced)
    with open(a.out, "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(json.dumps(v, ensure_ascii=False) for v in result) + "\n]\n")
    head = sample[:200_000]
    print(f"{len(result)} pieces; {len(head) / len(Tokenizer(result).encode(head, True)):.2f} characters a token")
