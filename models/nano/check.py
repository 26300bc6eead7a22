"""Checks that fused.cpp and plain PyTorch agree on losses and gradients. Ends with an error where they do not.

    python3 check.py
"""
import numpy as np
import torch

from fused import Fused
from model import Nano
from plain import Plain
from shards import Batch, row_arrays

VOCAB = 640


def row(rng, length, cuts):
    """Random tokens and weights; `cuts` conversations behind a prefix, or one plain sequence."""
    ids = rng.integers(0, VOCAB, length + 1)
    weight = (rng.random(length + 1) < 0.3) * rng.integers(1, 256, length + 1)
    weight[length] = 255
    segment = None
    if cuts:
        at = np.sort(rng.choice(np.arange(1, length), cuts, replace=False))
        segment = np.searchsorted(at, np.arange(length + 1), "right")
    return row_arrays(ids, weight, segment, length)


def batch_of(rows):
    columns, prefixes = zip(*rows)
    flat = np.concatenate(columns, 1)
    at = np.cumsum([0] + [c.shape[1] for c in columns]).astype(np.int64)
    whole = [np.ascontiguousarray(x, np.int32) for x in flat[:4]]
    return Batch(*whole, np.ascontiguousarray(flat[4]), at, np.array(prefixes, np.int64))


def gradients(engine, model, batch):
    for p in model.parameters():
        p.grad.zero_()
    loss, _ = engine(batch, True)
    return loss, [p.grad.clone() for p in model.parameters()]


def main():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = Nano(VOCAB, 256, 3, 4, 320)
    for p in model.parameters():
        torch.nn.init.uniform_(p, 0.5, 1.5) if p.dim() == 1 else torch.nn.init.normal_(p, 0, 0.03)
        p.grad = torch.zeros_like(p)
    fused, plain = Fused.make(model), Plain(model, "cpu")
    if fused is None:
        raise SystemExit("fused.cpp cannot run here: it needs g++ and a CPU with AVX-512 BF16")
    for shapes in ([(200, 0)], [(64, 0)], [(7, 0), (130, 0)], [(300, 3)], [(333, 5), (90, 0), (129, 2)]):
        batch = batch_of([row(rng, *shape) for shape in shapes])
        (loss, grads), (other, others) = gradients(plain, model, batch), gradients(fused, model, batch)
        worst = max(((x - y).norm() / x.norm()).item() for x, y in zip(grads, others))
        print(f"rows {shapes}: losses differ by {abs(loss - other).max():.4f}, gradients by {100 * worst:.1f} %")
        if not (abs(loss - other).max() < 0.03 and worst < 0.05):  # bfloat16 keeps 8 bits
            raise SystemExit("too far apart")
    x = torch.randn(256, 640)
    y = x.clone()
    plain.orthogonalise(x)
    fused.orthogonalise(y)
    if not (x - y).norm() / x.norm() < 0.05:
        raise SystemExit("orthogonalise: too far apart")


if __name__ == "__main__":
    main()
