"""The embedded model: a small decoder in the layout that llama.cpp calls "qwen3".

RMSNorm before attention and feed-forward, RMSNorm of every query and key head (arXiv:2010.04245) before rotary
positions (arXiv:2104.09864, the halves of a head form the pairs), SwiGLU (arXiv:2002.05202), tied embeddings, no biases.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

EPS = 1e-6
ROPE_BASE = 10000.0
CONTEXT = 2048
DEFAULT = {"dim": 256, "layers": 6, "heads": 4, "ff": 640}


class Norm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * self.weight


def rope_table(head, length=CONTEXT):
    angle = torch.outer(torch.arange(length).float(), ROPE_BASE ** (-torch.arange(0, head, 2).float() / head))
    return torch.stack((angle.cos(), angle.sin()))


def rotate(x, table):
    """x: [batch, length, heads, head]; table: [2, length, 1, head / 2]."""
    a, b = x.chunk(2, -1)
    cos, sin = table
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Block(nn.Module):
    def __init__(self, dim, heads, ff):
        super().__init__()
        self.heads = heads
        self.norm1 = Norm(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.qnorm = Norm(dim // heads)
        self.knorm = Norm(dim // heads)
        self.out = nn.Linear(dim, dim, bias=False)
        self.norm2 = Norm(dim)
        self.gate_up = nn.Linear(dim, 2 * ff, bias=False)
        self.down = nn.Linear(ff, dim, bias=False)

    def attend(self, q, k, v, table, seen):
        """q, k, v: [batch, length, heads, head], raw; the attention's output in the same shape."""
        q, k = rotate(self.qnorm(q), table), rotate(self.knorm(k), table)
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        if q.is_cuda:
            causal = seen is None
            return F.scaled_dot_product_attention(q, k, v, seen, is_causal=causal).transpose(1, 2)
        out, step = [], 128  # in blocks of queries, so that the scores stay in the cache
        for i in range(0, q.shape[2], step):
            j = min(i + step, q.shape[2])
            s = (q[:, :, i:j] * q.shape[-1] ** -0.5) @ k[:, :, :j].transpose(-1, -2)
            if seen is None:
                s[..., i:] += torch.full((j - i, j - i), float("-inf")).triu_(1)
            else:
                s.masked_fill_(~seen[:, :, i:j, :j], float("-inf"))
            out.append(s.softmax(-1) @ v[:, :, :j])
        return torch.cat(out, 2).transpose(1, 2)

    def forward(self, x, table, seen):
        batch, length, dim = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, -1).unbind(2)
        x = x + self.out(self.attend(q, k, v, table, seen).reshape(batch, length, dim))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Nano(nn.Module):
    def __init__(self, vocab, dim, layers, heads, ff):
        super().__init__()
        self.config = {"vocab": vocab, "dim": dim, "layers": layers, "heads": heads, "ff": ff}
        self.embed = nn.Embedding(vocab, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, ff) for _ in range(layers))
        self.norm = Norm(dim)
        self.register_buffer("table", rope_table(dim // heads), persistent=False)
        for name, p in self.named_parameters():
            if p.dim() > 1:
                nn.init.normal_(p, 0, 0.02 if name.startswith("embed") else 0.5 * p.shape[1] ** -0.5)
        for block in self.blocks:  # every block starts as the identity
            nn.init.zeros_(block.out.weight)
            nn.init.zeros_(block.down.weight)

    def hidden(self, ids, position=None, seen=None):
        """The final hidden states of ids [batch, length].

        `position` [batch, length] and `seen` [batch, 1, length, length] default to those of plain sequences.
        """
        table = self.table[:, : ids.shape[1], None] if position is None else self.table[:, position][:, :, :, None]
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, table, seen)
        return self.norm(x)

    def logits(self, hidden):
        return hidden @ self.embed.weight.t()
