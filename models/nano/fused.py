"""The training step in C++ (fused.cpp), for CPUs with AVX-512 BF16. `Fused.make` gives None where it cannot run."""
import ctypes
import hashlib
import os
import subprocess
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
FLAGS = ["-O3", "-march=native", "-ffast-math", "-fno-finite-math-only", "-shared", "-fPIC", "-w"]


def compiled():
    """The library's path, built once for each version of the source; None without a compiler or a fitting CPU."""
    try:
        with open("/proc/cpuinfo") as f:
            if "avx512_bf16" not in f.read():
                return None
        source = os.path.join(HERE, "fused.cpp")
        with open(source, "rb") as f:
            version = hashlib.sha256(f.read() + " ".join(FLAGS).encode()).hexdigest()[:16]
        path = os.path.join(tempfile.gettempdir(), f"nano-fused-{os.getuid()}-{version}.so")
        if not os.path.exists(path):
            own = f"{path}.{os.getpid()}"
            subprocess.run(["g++", *FLAGS, source, "-o", own], check=True)
            os.replace(own, path)
        return path
    except (OSError, subprocess.CalledProcessError):
        return None


class _Batch(ctypes.Structure):
    _fields_ = [("tokens", ctypes.c_long), ("rows", ctypes.c_long)] + [
        (name, ctypes.c_void_p) for name in ("ids", "next", "position", "start", "weight", "at", "prefix")
    ]


class Fused:
    def __init__(self, library, model):
        self.lib, self.model = ctypes.CDLL(library), model
        self.lib.nano_new.restype = ctypes.c_void_p
        self.lib.nano_step.restype = ctypes.c_double
        c = model.config
        sizes = [ctypes.c_long(x) for x in (c["vocab"], c["dim"], c["layers"], c["heads"], c["ff"], model.table.shape[1])]
        self.handle = ctypes.c_void_p(self.lib.nano_new(*sizes, ctypes.c_void_p(model.table.data_ptr())))
        if self.handle:
            self.load()

    @staticmethod
    def make(model):
        path = compiled()
        fused = Fused(path, model) if path else None
        return fused if fused and fused.handle else None

    def _pointers(self, tensors):
        return (ctypes.c_void_p * len(tensors))(*[t.data_ptr() for t in tensors])

    def load(self):
        """To be called after the weights have changed."""
        self.lib.nano_load(self.handle, self._pointers([p.data for p in self.model.parameters()]))

    def __call__(self, batch, backward):
        """The loss and the hit of every weighted token; adds to the parameters' gradients."""
        loss, hit = np.zeros(len(batch.ids), np.float32), np.zeros(len(batch.ids), np.uint8)
        fields = (batch.ids, batch.next, batch.position, batch.start, batch.weight, batch.at, batch.prefix)
        raw = _Batch(len(batch.ids), len(batch.prefix), *[f.ctypes.data for f in fields])
        grads = self._pointers([p.grad for p in self.model.parameters()]) if backward else None
        self.lib.nano_step(self.handle, ctypes.byref(raw), grads, loss.ctypes.data_as(ctypes.c_void_p),
                           hit.ctypes.data_as(ctypes.c_void_p))
        at = batch.weight > 0
        return loss[at], hit[at] > 0

    def orthogonalise(self, x, steps=5):
        """In place, for a contiguous matrix with no more rows than columns."""
        self.lib.nano_orthogonalise(ctypes.c_void_p(x.data_ptr()), *[ctypes.c_long(n) for n in (*x.shape, steps)])
