"""Trains the embedded model on token shards (shards.py). It can be stopped at any time and goes on where it was.

Shards are read in the order of their names; those of one NAME with several T are mixed. New shards may appear while
training (write w.bin last); when all are used the reading starts again.

    python3 train.py DATA_DIR RUN_DIR --vocab vocab.json --heldout HELD_DIR/h.T512.ids.bin --workers 2
    echo 15 > RUN_DIR/decay      # or kill -USR1: let the learning rate fall to zero within 15 minutes, then end
"""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a worker: threads of one step wait for each other
os.environ.setdefault("OPENBLAS_CORETYPE", "SKYLAKEX")

import numpy as np
import torch
import torch.distributed as dist

import shards
from fused import Fused
from model import DEFAULT, Nano
from plain import Plain


class Memory:
    """Float vectors that all workers see: weights, optimiser state and each worker's gradients."""

    def __init__(self, path, size, device):
        self.at = 0
        self.all = torch.from_file(path, shared=True, size=size) if path else torch.zeros(size, device=device)

    def take(self, like):
        out = self.all[self.at : self.at + like.numel()].view(like.shape)
        self.at += (like.numel() + 15) // 16 * 16
        return out


class Optimiser:
    """Muon (kellerjordan.github.io/posts/muon) for the blocks' matrices, Adam for embeddings and norms.

    Fused matrices are orthogonalised in their parts. Every part is one worker's to update, in shared memory.
    """

    PARTS = {"qkv": 3, "gate_up": 2, "out": 1, "down": 1}

    def __init__(self, named, grads, memory, a):
        self.named, self.grads, self.a, self.count = named, grads, a, 0
        self.state, jobs = {}, []
        for name, p in named.items():
            hidden = name.startswith("blocks") and p.dim() == 2
            self.state[name] = {k: memory.take(p) for k in (["m"] if hidden else ["m", "v"])}
            parts = self.PARTS[name.split(".")[-2]] if hidden else 1
            for i in range(parts):
                jobs.append((p.numel() / parts * (10 if hidden else 1), name, hidden, i, parts))
        jobs.sort(key=lambda job: -job[0])
        self.mine, load = [], [0] * a.workers
        for job in jobs:
            worker = load.index(min(load))
            load[worker] += job[0]
            if worker == a.rank:
                self.mine.append(job[1:])

    @torch.no_grad()
    def step(self, factor, weight, engine):
        self.count += 1
        for name, hidden, i, parts in self.mine:
            p, m = self.named[name].data.chunk(parts)[i], self.state[name]["m"].chunk(parts)[i]
            g = sum(worker[name].chunk(parts)[i] for worker in self.grads) / weight
            if hidden:
                m.lerp_(g, 1 - self.a.momentum)
                g = g.lerp_(m, self.a.momentum)
                turned = g.shape[0] > g.shape[1]
                g = g.t().contiguous() if turned else g
                engine.orthogonalise(g)
                rate = self.a.muon_rate * factor
                scale = max(1, p.shape[0] / p.shape[1]) ** 0.5
                p.mul_(1 - rate * self.a.weight_decay).sub_(g.t() if turned else g, alpha=rate * scale)
            else:
                v, b1, b2 = self.state[name]["v"], 0.9, 0.98
                m.lerp_(g, 1 - b1)
                v.lerp_(g.square(), 1 - b2)
                root = (v / (1 - b2**self.count)).sqrt_().add_(1e-10)
                p.sub_(m / (1 - b1**self.count) / root, alpha=self.a.adam_rate * factor)


class Run:
    """The state of a training run that its checkpoint keeps, beside weights and optimiser."""

    def __init__(self):
        self.step = self.tokens = self.epoch = self.shard = self.batch = 0
        self.seconds = 0.0
        self.decay = self.decay_left = None  # seconds: the whole decay, and what is left of it

    def rate(self, warmup):
        """The schedule's factor: a warm-up, a constant, and on request a linear fall to zero."""
        rise = min(1.0, (self.step + 1) / warmup)
        return rise if self.decay is None else rise * max(0.0, self.decay_left / self.decay)


def save(path, model, optimiser, run):
    state = {n: t.detach().cpu().clone() for n, t in model.state_dict().items()}
    moments = {n: {k: t.cpu().clone() for k, t in s.items()} for n, s in optimiser.state.items()}
    saved = {"config": model.config, "model": state, "optimiser": moments, "count": optimiser.count, "run": vars(run)}
    torch.save(saved, path + ".new")
    os.replace(path + ".new", path)


def restore(path, model, optimiser, run):
    saved = torch.load(path, map_location="cpu")
    if saved["config"] != model.config:
        raise SystemExit(f"{path} has another shape: {saved['config']}")
    model.load_state_dict(saved["model"])
    for name, state in saved["optimiser"].items():
        for kind, value in state.items():
            optimiser.state[name][kind].copy_(value)
    optimiser.count = saved["count"]
    vars(run).update(saved["run"])


def held_out(engine, shard):
    """(loss, share of the fully weighted tokens right, share of conversations with all of those right)."""
    total, weights, hits, whole = 0.0, 0.0, [], []
    for i in range(len(shard.batches)):
        batch = shard.batch(i)
        loss, hit = engine(batch, False)
        at = np.flatnonzero(batch.weight > 0)
        total, weights = total + float(loss @ batch.weight[at]), weights + float(batch.weight.sum())
        full = batch.weight[at] == 1
        hit, at = hit[full], at[full]
        row = np.searchsorted(batch.at, at, "right")
        _, talk = np.unique(row * 65536 + batch.start[at], return_inverse=True)
        hits.append(hit)
        whole.append(np.bincount(talk, ~hit) == 0)
    return total / weights, np.concatenate(hits).mean(), np.concatenate(whole).mean()


class Trainer:
    def __init__(self, a):
        self.a, self.run, self.asked = a, Run(), {"stop": False, "decay": a.decay}
        self.checkpoint = os.path.join(a.out, "checkpoint.pt")
        device = "cuda" if torch.cuda.is_available() and not a.cpu else "cpu"
        torch.set_num_threads(a.threads)
        torch.manual_seed(a.seed)
        with open(a.vocab, encoding="utf-8") as f:
            vocab = len(json.load(f))
        self.model = Nano(vocab, **{k: getattr(a, k) for k in DEFAULT}).to(device)
        named = dict(self.model.named_parameters())
        room = sum((p.numel() + 15) // 16 * 16 for p in named.values())
        self.store = None
        if a.workers > 1:
            self.store = dist.TCPStore("127.0.0.1", a.port, a.workers, a.rank == 0)
            dist.init_process_group("gloo", store=dist.PrefixStore("group", self.store), rank=a.rank, world_size=a.workers)
        memory = Memory(a.memory, room * (3 + a.workers), device)
        for p in named.values():
            p.data = memory.take(p).copy_(p.data) if a.rank == 0 else memory.take(p)
        at = memory.at
        grads = [{n: memory.take(p) for n, p in named.items()} for _ in range(a.workers)]
        self.own = memory.all[at + a.rank * (memory.at - at) // a.workers :][: (memory.at - at) // a.workers]
        for n, p in named.items():
            p.grad = grads[a.rank][n]
        self.optimiser = Optimiser(named, grads, memory, a)
        if os.path.exists(self.checkpoint):
            if a.rank == 0:
                restore(self.checkpoint, self.model, self.optimiser, self.run)
            self.run = self.share(self.run)
            self.optimiser.count = self.share(self.optimiser.count)
        self.together()
        self.engine = (None if a.plain or device == "cuda" else Fused.make(self.model)) or Plain(self.model, device)
        self.say(f"{sum(p.numel() for p in named.values())} parameters, {vocab} tokens, {type(self.engine).__name__} on "
                 f"{device}, {a.workers} worker(s), step {self.run.step}")

    def say(self, text):
        if self.a.rank == 0:
            print(text, flush=True)

    def share(self, value):
        """Rank 0's value, on every worker."""
        box = [value if self.a.rank == 0 else None]
        if self.store:
            dist.broadcast_object_list(box, 0)
        return box[0]

    def together(self, values=None):
        """Waits for all workers; the sum of what each brought."""
        values = torch.zeros(1, dtype=torch.float64) if values is None else values
        if self.store:
            dist.all_reduce(values)
        return values

    def next_shard(self):
        run, a = self.run, self.a
        names = self.share(shards.names(a.data))
        if run.shard >= len(names):
            run.shard, run.epoch = 0, run.epoch + 1
        shard = shards.Shard(a.data, names[run.shard], a.micro, a.seed + run.epoch * 1000003 + run.shard)
        self.say(f"reading {names[run.shard]}, epoch {run.epoch}: {len(shard.batches)} batches")
        return shard

    def orders(self, seconds):
        """Rank 0 looks for what it was asked: (learning rate factor, whether to end after this step)."""
        run, order = self.run, os.path.join(self.a.out, "decay")
        run.seconds += seconds
        if run.step % 20 == 0 and os.path.exists(order):
            with open(order) as f:
                self.asked["decay"] = float(f.read().strip() or 15)
            os.remove(order)
        if run.decay is not None:
            run.decay_left -= seconds
        elif self.asked["decay"]:
            run.decay = run.decay_left = self.asked["decay"] * 60
            self.say(f"decay: {self.asked['decay']} minutes")
        ended = run.decay is not None and run.decay_left <= 0
        return run.rate(self.a.warmup), float(self.asked["stop"] or ended or run.step + 1 == self.a.steps)

    def gradients(self, shard, count):
        """This worker's share of a step's batches: it takes the next when it is free, so a slower one takes fewer."""
        self.own.zero_()
        loss = weight = tokens = taken = 0
        while True:
            i = taken if self.store is None else self.store.add(f"step{self.run.step}", 1) - 1
            if i >= count:
                return loss, weight, tokens
            batch = shard.batch(self.run.batch + i)
            losses, _ = self.engine(batch, True)
            at = batch.weight > 0
            loss += float(losses @ batch.weight[at])
            weight += float(batch.weight.sum())
            tokens += len(batch.ids)
            taken += 1

    def train(self):
        a, run, shard = self.a, self.run, None
        held = None
        if a.heldout and a.rank == 0:
            folder, name = os.path.split(a.heldout)
            held = shards.Shard(folder or ".", re.sub(r"\.T\d+\.ids\.bin$", "", name), a.micro, 0)
        last_save = clock = time.monotonic()
        shown = dict.fromkeys(("loss", "weight", "tokens", "seconds"), 0.0)
        stop = 0.0
        while not stop:
            if shard is not None and run.batch >= len(shard.batches):
                run.shard, run.batch, shard = run.shard + 1, 0, None
            if shard is None:
                shard = self.next_shard()
            count = min(max(1, round(a.batch / a.micro)), max(1, len(shard.batches) - run.batch))
            told = torch.zeros(5, dtype=torch.float64)
            told[:3] = torch.tensor(self.gradients(shard, count), dtype=torch.float64)
            now = time.monotonic()
            if a.rank == 0:
                told[3:] = torch.tensor(self.orders(now - clock), dtype=torch.float64)
                shown["seconds"] += now - clock
            clock = now
            loss, weight, tokens, factor, stop = self.together(told).tolist()
            if a.rank == 0 and self.store:
                self.store.delete_key(f"step{run.step}")
            run.step, run.tokens, run.batch = run.step + 1, run.tokens + int(tokens), run.batch + count
            if np.isfinite(loss) and weight > 0:
                self.optimiser.step(factor, weight, self.engine)
            else:
                self.say(f"step {run.step}: the loss is {loss}; left out")
                loss = weight = 0.0
            self.together()
            self.engine.load()
            for k, x in (("loss", loss), ("weight", weight), ("tokens", tokens)):
                shown[k] += x
            if run.step % a.log == 0:
                self.say(f"step {run.step} loss {shown['loss'] / max(shown['weight'], 1e-9):.4f} "
                         f"tokens {run.tokens / 1e6:.2f}M weighted {shown['weight'] / shown['tokens']:.3f} "
                         f"{shown['tokens'] / max(shown['seconds'], 1e-9):.0f} tok/s rate {factor:.3f} {run.seconds / 60:.1f} min")
                shown = dict.fromkeys(shown, 0.0)
            if held and (run.step % a.eval == 0 or stop):
                self.say("step %d held-out loss %.4f, tokens right %.4f, conversations right %.4f"
                         % (run.step, *held_out(self.engine, held)))
            if a.rank == 0 and (stop or time.monotonic() - last_save > a.save):
                save(self.checkpoint, self.model, self.optimiser, run)
                last_save = time.monotonic()
                if run.decay is not None and run.decay_left <= 0:
                    save(os.path.join(a.out, "final.pt"), self.model, self.optimiser, run)
                    self.say(f"final: {a.out}/final.pt")


def main(a):
    os.makedirs(a.out, exist_ok=True)
    others, folder = [], None
    if a.workers > 1 and a.rank == 0:
        folder = tempfile.TemporaryDirectory(prefix="nano-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        a.memory = os.path.join(folder.name, "memory")
        for rank in range(1, a.workers):
            more = ["--rank", str(rank), "--memory", a.memory]
            others.append(subprocess.Popen([sys.executable, *sys.argv, *more]))
    try:
        trainer = Trainer(a)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: trainer.asked.update(stop=True))
        signal.signal(signal.SIGUSR1, lambda *_: trainer.asked.update(decay=a.decay or 15.0))
        trainer.train()
    finally:
        for other in others:
            try:
                other.wait(30)
            except subprocess.TimeoutExpired:
                other.kill()


if __name__ == "__main__":
    arg = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arg.add_argument("data", help="folder of shards")
    arg.add_argument("out", help="folder of the run: checkpoint.pt, final.pt")
    arg.add_argument("--vocab", required=True)
    arg.add_argument("--heldout", help="ids file of a shard that is not trained on")
    for size, value in DEFAULT.items():
        arg.add_argument(f"--{size}", type=int, default=value)
    arg.add_argument("--batch", type=int, default=8192, help="tokens a step")
    arg.add_argument("--micro", type=int, default=2048, help="tokens a forward pass")
    arg.add_argument("--muon-rate", type=float, default=0.02)
    arg.add_argument("--momentum", type=float, default=0.95)
    arg.add_argument("--adam-rate", type=float, default=0.003)
    arg.add_argument("--weight-decay", type=float, default=0.01)
    arg.add_argument("--warmup", type=int, default=100, help="steps")
    arg.add_argument("--decay", type=float, help="minutes: decay now (with SIGUSR1 later: 15)")
    arg.add_argument("--steps", type=int, help="end after this step")
    arg.add_argument("--log", type=int, default=20)
    arg.add_argument("--eval", type=int, default=500)
    arg.add_argument("--save", type=float, default=180, help="seconds between checkpoints")
    arg.add_argument("--workers", type=int, default=1)
    arg.add_argument("--threads", type=int, default=1)
    arg.add_argument("--seed", type=int, default=1)
    arg.add_argument("--cpu", action="store_true")
    arg.add_argument("--plain", action="store_true", help="PyTorch only, without fused.cpp")
    arg.add_argument("--port", type=int, default=29611)
    arg.add_argument("--rank", type=int, default=0, help=argparse.SUPPRESS)
    arg.add_argument("--memory", help=argparse.SUPPRESS)
    main(arg.parse_args())
