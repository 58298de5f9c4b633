"""A network learns a picture, in plain PyTorch: python examples/paint.py photo.jpg painting.png 500

Each pixel is one example: its place (x, y) goes in, its colour (R, G, B) should come out. In the end 272,703
weights hold the picture. `sfumato`'s classic recipe does the same, and a test compares the two step by step.
"""

import math
import sys

import numpy as np
import torch
from PIL import Image
from torch import nn

NET, BATCH, RATE, WARMUP, WAKE, SEED = (300, 300, 300, 300), 4096, 0.04, 0.05, 32, 0


def places(height, width):
    """Centres of all pixels, row by row: (H W, 2), x to the right, y downwards, the picture filling [-1, 1]."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    return torch.from_numpy(np.stack([x / width, y / height], -1).reshape(-1, 2).astype(np.float32)) * 2 - 1


def build(widths=NET, seed=SEED):
    """Linear layers, rectifiers between them; He's start (6 / inputs), at half strength between hidden layers."""
    draw = torch.Generator().manual_seed(seed)
    linear = [nn.Linear(a, b) for a, b in zip([2, *widths], [*widths, 3], strict=True)]
    for layer, strength in zip(linear, [6, *[6 / 4] * (len(widths) - 1), 3], strict=True):
        bound = math.sqrt(strength / layer.in_features)
        nn.init.uniform_(layer.weight, -bound, bound, generator=draw)
        nn.init.constant_(layer.bias, 0.5 if layer is linear[-1] else 0)  # start from grey
        if layer is linear[0]:  # each first unit bends along a line; put these lines all over the picture
            through = torch.empty_like(layer.weight).uniform_(-1, 1, generator=draw)
            layer.bias.data = -(layer.weight.data * through).sum(1)
    return nn.Sequential(*[module for layer in linear for module in (layer, nn.ReLU())][:-1])


def hilbert(xy):
    """The pixels in the order of Hilbert's curve, along which neighbours are neighbours in the picture."""
    xy = (xy - xy.min(0)) / (xy.max(0) - xy.min(0))
    (x, y), along = np.minimum(xy.astype(np.float64) * 65536, 65535).astype(np.int64).T, 0
    for bit in range(15, -1, -1):
        right, down = x >> bit & 1, y >> bit & 1
        along = along << 2 | (3 * right ^ down)
        flip = right * (1 - down) * (2**bit - 1)
        x, y = np.where(down, [x ^ flip, y ^ flip], [y ^ flip, x ^ flip])
    return np.argsort(along, kind="stable")


def sample(draw, curve, error, batch):
    """An epoch's visits: 0.2 for each pixel and the rest by the root of its error, one of `batch` cells a step."""
    count, batch = len(curve), min(batch, len(curve))
    root = np.sqrt(error[curve].astype(np.float64))
    ends = np.cumsum(0.2 + 0.8 * root * count / root.sum())
    points = np.arange(count) + draw.random()
    pixels = curve[np.minimum(np.searchsorted(ends * (count / ends[-1]), points, side="right"), count - 1)]
    starts, steps = np.arange(batch + 1) * count // batch, math.ceil(count / batch)
    keys, full = draw.random((batch, steps), np.float32), np.diff(starts) == steps
    keys[~full, -1] = 2  # a smaller cell has none left for the last step
    order = keys.argsort(1) + starts[:-1, None]
    return [*pixels[order[:, :-1].T], pixels[order[full, -1]]]


def orthogonal(whole, steps=5, blocks=2):
    """All directions of a matrix at nearly the same length, by Newton and Schulz; in two blocks of its rows."""
    turned = []
    for x in (whole / whole.norm().clamp(min=1e-7)).split(math.ceil(len(whole) / 16 / blocks) * 16):
        wide = x if x.shape[0] <= x.shape[1] else x.T
        wide = wide / (wide @ wide.T).norm().sqrt().clamp(min=1e-7)
        for _ in range(steps):
            s = wide @ wide.T
            wide = 3.4445 * wide + (-4.7750 * s + 2.0315 * s @ s) @ wide
        turned.append(wide if x.shape[0] <= x.shape[1] else wide.T)
    return torch.cat(turned)


@torch.no_grad()
def wake(net, x):
    """A unit that no pixel of the batch excites learns nothing ever after: raise its bias until 2 % of them do."""
    for layer in net[:-1:2]:
        pre = layer(x)
        if (silent := pre.amax(0) <= 0).any():
            layer.bias[silent] -= pre[:, silent].topk(min(len(x), max(2, len(x) // 50 + 1)), 0).values[-1]
        x = layer(x).relu()


def train(net, xy, rgb, epochs, batch=BATCH, seed=SEED):
    """Muon on the square matrices, Adam on the rest; yields every step's loss."""
    torch.set_flush_denormal(True)  # Adam's memory of resting weights decays to slow, tiny numbers
    matrices = [layer.weight for layer in net[2:-1:2]]
    momenta = [torch.zeros_like(m) for m in matrices]
    adam = torch.optim.Adam(list({*net.parameters()} - {*matrices}), betas=(0.9, 0.99), fused=True)
    step, total = 0, epochs * math.ceil(len(xy) / batch)
    curve, error = hilbert((xy.numpy() + 1) / 2), np.ones(len(xy), np.float32)
    for epoch in range(epochs):
        known = error.copy()
        for rows in sample(np.random.Generator(np.random.PCG64([seed, 1, epoch])), curve, known, batch):
            warm = min(1, (step + 1) / (WARMUP * total))
            rate = RATE * warm * (1 + math.cos(math.pi * (step + 0.5) / total)) / 2
            adam.param_groups[0]["lr"] = 0.05 * rate
            net.zero_grad()
            painted = net(xy[rows])
            loss = nn.functional.mse_loss(painted, rgb[rows])
            loss.backward()
            error[rows] = (painted.detach() - rgb[rows]).square().mean(1).numpy()
            with torch.no_grad():
                for weight, momentum in zip(matrices, momenta, strict=True):
                    momentum.lerp_(weight.grad, 0.05)
                    longer = math.sqrt(max(1, weight.shape[0] / weight.shape[1]))
                    weight.sub_(orthogonal(weight.grad.lerp(momentum, 0.95)), alpha=rate * longer)
            adam.step()
            if (step := step + 1) % WAKE == 0 and step < 0.8 * total:
                wake(net, xy[rows])
            yield loss.item()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} photo.jpg painting.png [epochs]")
    photo, painting, epochs = sys.argv[1], sys.argv[2], int((*sys.argv, 500)[3])
    picture = np.asarray(Image.open(photo).convert("RGB"), np.float32) / 255  # (H, W, 3) in [0, 1]
    xy, net = places(*picture.shape[:2]), build()
    for step, loss in enumerate(train(net, xy, torch.from_numpy(picture).reshape(-1, 3), epochs)):
        if step % 500 == 0:
            print(f"step {step}  {-10 * math.log10(loss):.1f} dB", flush=True)
    painted = torch.cat([net(part).detach() for part in xy.split(8192)]).clamp(0, 1).view(picture.shape)
    print(f"PSNR {-10 * math.log10((painted - torch.from_numpy(picture)).square().mean()):.2f} dB")
    Image.fromarray((painted * 255).round().byte().numpy()).save(painting)
