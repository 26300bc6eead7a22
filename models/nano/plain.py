"""The training step in plain PyTorch: the reference for fused.cpp, and what runs where that cannot (other CPUs, CUDA)."""
import numpy as np
import torch
import torch.nn.functional as F


def padded(batch):
    """A batch's rows side by side: (ids, next, position, weight), each [rows, length], and which token sees which."""
    sizes = np.diff(batch.at)
    where = np.arange(sizes.max()) < sizes[:, None]

    def spread(flat):
        out = np.zeros(where.shape, flat.dtype)
        out[where] = flat
        return torch.from_numpy(out if flat.dtype == np.float32 else out.astype(np.int64))

    at = torch.arange(where.shape[1])
    query, key = at[:, None], at[None]
    start, prefix = spread(batch.start)[:, :, None], torch.from_numpy(batch.prefix)[:, None, None]
    seen = ((key < prefix) | (key >= start)) & (key <= query)
    plain = not batch.start.any()
    columns = [spread(c) for c in (batch.ids, batch.next, batch.position, batch.weight)]
    return columns, None if plain else seen[:, None]


class Plain:
    def __init__(self, model, device):
        self.model, self.device = model, device

    def load(self):
        """Nothing to do: the weights are used where they are."""

    def __call__(self, batch, backward):
        """The loss and the hit of every weighted token; adds to the parameters' gradients."""
        columns, seen = padded(batch)
        ids, following, position, weight = (c.to(self.device) for c in columns)
        seen = seen if seen is None else seen.to(self.device)
        at = weight.reshape(-1).nonzero().squeeze(1)
        with torch.set_grad_enabled(backward):
            with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
                hidden = self.model.hidden(ids, position, seen)
                logits = self.model.logits(hidden.reshape(-1, hidden.shape[-1])[at])
            target = following.reshape(-1)[at]
            loss = F.cross_entropy(logits.float(), target, reduction="none")
        if backward:
            (loss * weight.reshape(-1)[at]).sum().backward()
        return loss.detach().cpu().numpy(), (logits.argmax(-1) == target).cpu().numpy()

    def orthogonalise(self, x, steps=5):
        """Newton-Schulz iteration towards the nearest semi-orthogonal matrix, in place."""
        a, b, c = 3.4445, -4.7750, 2.0315
        x /= x.norm() + 1e-7
        for _ in range(steps):
            gram = x @ x.t()
            x.copy_(a * x + (b * gram + c * gram @ gram) @ x)
