"""Trains Ember, the demonstration model that Hearth carries, from scratch on the CPU.

    python train.py --work DIR --minutes 60          starts, or goes on from DIR/checkpoint.pt
    python train.py --work DIR --minutes 10 --long   the last minutes, on long sequences

DIR holds train.bin, heldout.bin and heldout_prose.bin (uint16 ids) and the tokenizer, all made by prepare.py. The model is
Qwen3's statement in plain PyTorch: RMS norms, grouped queries with a norm on each query and key head, rotary embedding by halves, SwiGLU, tied head.
Optimiser: Muon for matrices, AdamW for the embedding and the norms. Seeds are fixed; what differs between two runs is how many
steps fit into the given minutes and the order in which threads add.
"""
import argparse
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    n_vocab: int = 2048
    n_embd: int = 256
    n_layer: int = 4
    n_head: int = 8
    n_head_kv: int = 4
    head_dim: int = 64
    n_ff: int = 768
    n_ctx: int = 32768
    rope_theta: float = 1e6
    rms_eps: float = 1e-6


class Norm(nn.Module):
    def __init__(self, n, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(n)), eps

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight.to(x.dtype), self.eps)


def rope(x, cos, sin):  # x: [batch, head, row, head_dim]; the first half turns against the second
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def attention(q, k, v):  # each [batch, head, row, head_dim]
    rows = q.shape[2]
    if rows > 512:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    hidden = torch.full((rows, rows), float("-inf"), dtype=q.dtype).triu(1)  # on a CPU, faster than the call above
    weights = torch.softmax(q @ k.transpose(2, 3) * q.shape[3] ** -0.5 + hidden, -1, dtype=q.dtype)
    return weights @ v


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.attn_norm, self.ffn_norm = Norm(c.n_embd, c.rms_eps), Norm(c.n_embd, c.rms_eps)
        self.attn_q_norm, self.attn_k_norm = Norm(c.head_dim, c.rms_eps), Norm(c.head_dim, c.rms_eps)
        self.attn_q = nn.Linear(c.n_embd, c.n_head * c.head_dim, bias=False)
        self.attn_k = nn.Linear(c.n_embd, c.n_head_kv * c.head_dim, bias=False)
        self.attn_v = nn.Linear(c.n_embd, c.n_head_kv * c.head_dim, bias=False)
        self.attn_output = nn.Linear(c.n_head * c.head_dim, c.n_embd, bias=False)
        self.ffn_gate = nn.Linear(c.n_embd, c.n_ff, bias=False)
        self.ffn_up = nn.Linear(c.n_embd, c.n_ff, bias=False)
        self.ffn_down = nn.Linear(c.n_ff, c.n_embd, bias=False)

    def forward(self, x, cos, sin):  # x: [batch, row, n_embd]
        c, (batch, rows, _) = self.c, x.shape
        h = self.attn_norm(x)
        heads = lambda y: y.view(batch, rows, -1, c.head_dim).transpose(1, 2)
        q = rope(self.attn_q_norm(heads(self.attn_q(h))), cos, sin)
        k = rope(self.attn_k_norm(heads(self.attn_k(h))), cos, sin)
        v, group = heads(self.attn_v(h)), c.n_head // c.n_head_kv
        y = attention(q, k.repeat_interleave(group, 1), v.repeat_interleave(group, 1))
        x = x + self.attn_output(y.transpose(1, 2).reshape(batch, rows, -1))
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Ember(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.token_embd = nn.Embedding(c.n_vocab, c.n_embd)
        self.blk = nn.ModuleList(Layer(c) for _ in range(c.n_layer))
        self.output_norm = Norm(c.n_embd, c.rms_eps)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                last = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * c.n_layer) if last else 0.02 if "embd" in name else p.shape[1] ** -0.5)

    def forward(self, ids):  # ids: [batch, row] -> logits: [batch, row, n_vocab]
        pos = torch.arange(ids.shape[1], dtype=torch.float64)
        freq = self.c.rope_theta ** (-torch.arange(0, self.c.head_dim, 2, dtype=torch.float64) / self.c.head_dim)
        angle = torch.outer(pos, freq)
        x = self.token_embd(ids)
        dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else x.dtype
        x, cos, sin = x.to(dtype), angle.cos().to(dtype), angle.sin().to(dtype)
        for layer in self.blk:
            x = layer(x, cos, sin)
        return F.linear(self.output_norm(x), self.token_embd.weight)


def load(path):
    saved = torch.load(path, weights_only=True)
    model = Ember(Config(**saved["config"]))
    model.load_state_dict(saved["model"])
    return model, saved


def read_ids(path):
    return torch.from_numpy(np.fromfile(path, dtype=np.uint16).astype(np.int64))


def pair(ids, targets):
    """Inputs and targets; ids with the bit READ_ONLY (see prepare.py) are no targets."""
    return ids & 0x7fff, targets.masked_fill(targets >= 0x8000, -100)


class Data:
    """Documents end to end; a window starts where a document starts, mostly."""

    def __init__(self, path, end_of_text, seed):
        self.ids = read_ids(path)
        self.starts = (self.ids == end_of_text).nonzero()[:-1, 0] + 1
        self.rng = torch.Generator().manual_seed(seed)

    def batch(self, size, rows):
        pick = torch.randint(len(self.starts), (size,), generator=self.rng)
        at = self.starts[pick].clamp(max=len(self.ids) - rows - 2)
        window = torch.stack([self.ids[i:i + rows + 1] for i in at.tolist()])
        return pair(window[:, :-1], window[:, 1:])


def loss_of(model, ids, targets):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(ids)
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


def gradients(model, ids, targets, scored):
    """The loss of a part of a batch, as its share of `scored` predictions, and the gradient of every parameter."""
    loss = loss_of(model, ids, targets) * ((targets >= 0).sum() / scored)
    return loss.item(), torch.autograd.grad(loss, list(model.parameters()))


@torch.no_grad()
def heldout_losses(model, work, rows=512):
    """Mean loss over whole held-out files, in windows of `rows`: generated dialogues, and prose."""
    out = []
    for name in "heldout.bin", "heldout_prose.bin":
        ids = read_ids(os.path.join(work, name))
        n = (len(ids) - 1) // rows * rows
        parts = [pair(x, y) for x, y in zip(ids[:n].view(-1, rows).split(8), ids[1:n + 1].view(-1, rows).split(8))]
        losses = [(loss_of(model, x, y).item() * (y >= 0).sum().item(), (y >= 0).sum().item()) for x, y in parts]
        out.append(sum(a for a, _ in losses) / sum(b for _, b in losses))
    return "held-out loss: dialogues %.4f, prose %.4f" % tuple(out)


def optimisers(model):
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embd" not in n]
    others = [p for n, p in model.named_parameters() if p.dim() != 2 or "embd" in n]
    return (torch.optim.Muon(matrices, lr=0.02, momentum=0.95, weight_decay=0.05, adjust_lr_fn=None),
            torch.optim.AdamW(others, lr=0.004, betas=(0.9, 0.95), weight_decay=0.0))


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--work", required=True)
    a.add_argument("--minutes", type=float, required=True)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--long", action="store_true")
    a.add_argument("--compile", action="store_true", help="faster after the first minute; needs a C++ compiler")
    a.add_argument("--fresh", action="store_true", help="start anew even where a checkpoint lies")
    a.add_argument("--rows", type=int, default=512)
    a.add_argument("--batch", type=int, default=8)
    a.add_argument("--part", type=int, default=2, help="sequences that one thread takes at a time")
    a.add_argument("--peak", type=float, default=1.0, help="scales the learning rates")
    a.add_argument("--final", type=float, default=0.0, help="the learning rate at the end, as a part of the peak")
    o = a.parse_args()
    torch.set_num_threads(1)  # each worker takes whole parts of a batch: nobody waits at every matrix on a shared machine
    pool = ThreadPoolExecutor(o.threads)
    torch.manual_seed(0)
    end_of_text = int(open(os.path.join(o.work, "end_of_text")).read())
    path, step = os.path.join(o.work, "checkpoint.pt"), 0
    if os.path.exists(path) and not o.fresh:
        model, saved = load(path)
        step = saved["step"]
    else:
        model, saved = Ember(Config()), None
    opts = optimisers(model)
    rates = [opt.param_groups[0]["lr"] for opt in opts]
    if saved:
        for opt, state in zip(opts, saved["opts"]):
            opt.load_state_dict(state)
    train = Data(os.path.join(o.work, "train.bin"), end_of_text, 1000 + step)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {len(train.ids) / 1e6:.2f} M tokens, from step {step}",
        flush=True)
    rows, size, o.part = (2048, 2, 1) if o.long else (o.rows, o.batch, o.part)
    run = torch.compile(model) if o.compile else model
    if o.compile:
        gradients(run, *(t[:o.part] for t in train.batch(size, rows)), 1)  # compiles, once, before the threads start
    begin, first, report, mean = time.time(), step, time.time(), None
    while (done := (time.time() - begin) / (60 * o.minutes)) < 1:
        warm = 1 if saved else min(1, (step + 1) / 60)
        rate = o.peak * warm * (o.final + (1 - o.final) * 0.5 * (1 + math.cos(math.pi * done)))
        for opt, peak in zip(opts, rates):
            opt.param_groups[0]["lr"] = peak * rate
        ids, targets = train.batch(size, rows)
        scored = (targets >= 0).sum()
        parts = list(zip(ids.split(o.part), targets.split(o.part)))
        step_loss = 0.0
        for loss, grads in pool.map(lambda part: gradients(run, *part, scored), parts):
            step_loss += loss
            for p, g in zip(model.parameters(), grads):
                p.grad = g if p.grad is None else p.grad.add_(g)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad()
        step += 1
        mean = step_loss if mean is None else 0.95 * mean + 0.05 * step_loss
        if step % 20 == 0:
            speed = (step - first) * size * rows / (time.time() - begin)
            print(f"step {step}  loss {mean:.3f}  {speed:.0f} tokens/s  {100 * done:.0f} %", flush=True)
        if time.time() - report > 300:
            print(heldout_losses(model, o.work), flush=True)
            save(path, model, opts, step)
            report = time.time()
    print(f"{heldout_losses(model, o.work)}, after {step} steps", flush=True)
    save(path, model, opts, step)


def save(path, model, opts, step):
    torch.save({"config": asdict(model.c), "model": model.state_dict(), "opts": [x.state_dict() for x in opts], "step": step},
        path + ".new")
    os.replace(path + ".new", path)


if __name__ == "__main__":
    main()
