"""Writes a checkpoint and its vocabulary as a GGUF v3 file that llama.cpp runs (architecture "qwen3").

    python3 export.py checkpoint.pt vocab.json nano.gguf --type q8_0
    python3 export.py --random vocab.json untrained.gguf
"""
import argparse
import json
import struct

import numpy as np
import torch

from model import CONTEXT, DEFAULT, EPS, ROPE_BASE, Nano
from vocab import END

TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ALIGN = 32
TYPES = {"f32": 0, "f16": 1, "q8_0": 8}  # ggml_type
FILE_TYPES = {"f32": 0, "f16": 1, "q8_0": 7}  # llama_ftype


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


# GGUF value types: their number, and how one value is written.
U32 = (4, lambda v: struct.pack("<I", v))
I32 = (5, lambda v: struct.pack("<i", v))
F32 = (6, lambda v: struct.pack("<f", v))
BOOL = (7, lambda v: struct.pack("<?", v))
STRING = (8, text)


def key(name, kind, value):
    return text(name) + struct.pack("<I", kind[0]) + kind[1](value)


def array(name, kind, values):
    body = b"".join(kind[1](v) for v in values)
    return text(name) + struct.pack("<IIQ", 9, kind[0], len(values)) + body


def metadata(config, vocab, kind):
    heads, head = config["heads"], config["dim"] // config["heads"]
    return [
        key("general.architecture", STRING, "qwen3"),
        key("general.name", STRING, "nano"),
        key("general.license", STRING, "mit"),
        key("general.file_type", U32, FILE_TYPES[kind]),
        key("general.quantization_version", U32, 2),
        key("qwen3.vocab_size", U32, config["vocab"]),
        key("qwen3.context_length", U32, CONTEXT),
        key("qwen3.embedding_length", U32, config["dim"]),
        key("qwen3.block_count", U32, config["layers"]),
        key("qwen3.feed_forward_length", U32, config["ff"]),
        key("qwen3.attention.head_count", U32, heads),
        key("qwen3.attention.head_count_kv", U32, heads),
        key("qwen3.attention.key_length", U32, head),
        key("qwen3.attention.value_length", U32, head),
        key("qwen3.attention.layer_norm_rms_epsilon", F32, EPS),
        key("qwen3.rope.dimension_count", U32, head),
        key("qwen3.rope.freq_base", F32, ROPE_BASE),
        key("tokenizer.ggml.model", STRING, "llama"),
        key("tokenizer.ggml.pre", STRING, "default"),
        array("tokenizer.ggml.tokens", STRING, [v["piece"] for v in vocab]),
        array("tokenizer.ggml.scores", F32, [v["score"] for v in vocab]),
        array("tokenizer.ggml.token_type", I32, [v["type"] for v in vocab]),
        key("tokenizer.ggml.unknown_token_id", U32, 0),
        key("tokenizer.ggml.eos_token_id", U32, END),
        key("tokenizer.ggml.eot_token_id", U32, END),
        key("tokenizer.ggml.padding_token_id", U32, 0),
        key("tokenizer.ggml.add_bos_token", BOOL, False),
        key("tokenizer.ggml.add_eos_token", BOOL, False),
        key("tokenizer.ggml.add_space_prefix", BOOL, False),
        key("tokenizer.chat_template", STRING, TEMPLATE),
    ]


def tensors(state, config):
    """The model's weights under llama.cpp's names; fused matrices are cut into theirs."""
    out = {"token_embd.weight": state["embed.weight"], "output_norm.weight": state["norm.weight"]}
    for i in range(config["layers"]):
        to, own = f"blk.{i}.", f"blocks.{i}."
        q, k, v = state[own + "qkv.weight"].chunk(3)
        gate, up = state[own + "gate_up.weight"].chunk(2)
        out[to + "attn_norm.weight"] = state[own + "norm1.weight"]
        out[to + "attn_q.weight"], out[to + "attn_k.weight"], out[to + "attn_v.weight"] = q, k, v
        out[to + "attn_q_norm.weight"] = state[own + "qnorm.weight"]
        out[to + "attn_k_norm.weight"] = state[own + "knorm.weight"]
        out[to + "attn_output.weight"] = state[own + "out.weight"]
        out[to + "ffn_norm.weight"] = state[own + "norm2.weight"]
        out[to + "ffn_gate.weight"], out[to + "ffn_up.weight"] = gate, up
        out[to + "ffn_down.weight"] = state[own + "down.weight"]
    return {name: t.detach().float().contiguous().numpy() for name, t in out.items()}


def q8_0(x):
    """ggml's Q8_0: blocks of 32 values, each a 16-bit scale and 32 signed bytes."""
    blocks = x.reshape(-1, 32)
    scale = np.abs(blocks).max(1, keepdims=True) / 127
    codes = np.rint(np.divide(blocks, scale, out=np.zeros_like(blocks), where=scale > 0))
    packed = np.empty(len(blocks), np.dtype([("scale", "<f2"), ("codes", "i1", 32)]))
    packed["scale"], packed["codes"] = scale[:, 0], codes
    return packed.tobytes()


def pack(x, kind):
    if kind == "q8_0":
        return q8_0(x)
    return x.astype("<f2" if kind == "f16" else "<f4").tobytes()


def write(path, config, state, vocab, kind):
    info, data = [], b""
    for name, x in tensors(state, config).items():
        own = kind if x.ndim == 2 else "f32"
        shape = struct.pack(f"<{x.ndim}Q", *reversed(x.shape))
        info.append(text(name) + struct.pack("<I", x.ndim) + shape + struct.pack("<IQ", TYPES[own], len(data)))
        data += pack(x, own)
        data += b"\0" * (-len(data) % ALIGN)
    keys = metadata(config, vocab, kind)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(info), len(keys)) + b"".join(keys + info)
    head += b"\0" * (-len(head) % ALIGN)
    with open(path, "wb") as f:
        f.write(head + data)
    print(f"{path}: {len(head) + len(data)} bytes")


if __name__ == "__main__":
    arg = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arg.add_argument("checkpoint", nargs="?")
    arg.add_argument("vocab")
    arg.add_argument("out")
    arg.add_argument("--random", action="store_true", help="export an untrained model, to tokenise with")
    arg.add_argument("--type", choices=TYPES, default="q8_0")
    a = arg.parse_args()
    with open(a.vocab, encoding="utf-8") as f:
        words = json.load(f)
    if a.random:
        model = Nano(len(words), **DEFAULT)
        write(a.out, model.config, model.state_dict(), words, a.type)
    else:
        saved = torch.load(a.checkpoint, map_location="cpu")
        if saved["config"]["vocab"] != len(words):
            raise SystemExit(f"the checkpoint has {saved['config']['vocab']} tokens, the vocabulary {len(words)}")
        write(a.out, saved["config"], saved["model"], words, a.type)
