"""A network learns a picture: all of it in plain PyTorch, without the package.

    python examples/paint.py photo.jpg painting.png 500

Each pixel is one example: its place (x, y) goes in, its colour (R, G, B) should come out. In the end the picture
is held by 272,703 weights. `sfumato`'s classic recipe does the same, and a test compares the two step by step.
"""

import math
import sys
import time
from itertools import pairwise

import numpy as np
import torch
from PIL import Image
from torch import nn

NET, BATCH, RATE, WARMUP, SEED = (300, 300, 300, 300), 512, 0.002, 0.0, 0


def places(height, width):
    """Centres of all pixels, row by row: (H W, 2), x to the right, y downwards, the picture filling [-1, 1]."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    unit = np.stack([x / width, y / height], -1).reshape(-1, 2).astype(np.float32)
    return torch.from_numpy(unit) * 2 - 1


def build(widths=NET, seed=SEED):
    """Linear layers with rectifiers between them; He's start, which keeps signals equally strong at any depth."""
    draw = torch.Generator().manual_seed(seed)
    *hidden, readout = linear = [nn.Linear(a, b) for a, b in pairwise([2, *widths, 3])]
    for layer in hidden:
        bound = math.sqrt(6 / layer.in_features)
        nn.init.uniform_(layer.weight, -bound, bound, generator=draw)
        nn.init.zeros_(layer.bias)
        if layer is hidden[0]:  # each first unit bends along a line; put these lines all over the picture
            through = torch.empty_like(layer.weight).uniform_(-1, 1, generator=draw)
            layer.bias.data = -(layer.weight.data * through).sum(1)
    nn.init.uniform_(readout.weight, -(widths[-1] ** -0.5), widths[-1] ** -0.5, generator=draw)
    nn.init.constant_(readout.bias, 0.5)  # start from grey
    return nn.Sequential(*[module for layer in linear for module in (layer, nn.ReLU())][:-1])


def train(net, xy, rgb, epochs, batch=BATCH, seed=SEED):
    """Adam on the mean squared error, each pixel once an epoch, the rate falling to 0; yields every step's loss."""
    torch.set_flush_denormal(True)  # Adam's memory of resting weights decays to slow, tiny numbers
    adam = torch.optim.Adam(net.parameters(), fused=True)  # one pass over memory instead of ten
    step, total = 0, epochs * math.ceil(len(xy) / batch)
    for epoch in range(epochs):
        order = np.random.Generator(np.random.PCG64([seed, 1, epoch])).permutation(len(xy))
        for rows in torch.from_numpy(order).split(batch):
            warm = min(1, (step + 1) / max(1, WARMUP * total))
            adam.param_groups[0]["lr"] = RATE * warm * (1 + math.cos(math.pi * (step + 0.5) / total)) / 2
            adam.zero_grad()
            loss = nn.functional.mse_loss(net(xy[rows]), rgb[rows])
            loss.backward()
            adam.step()
            step += 1
            yield loss.item()


if __name__ == "__main__":
    photo, painting, epochs = sys.argv[1], sys.argv[2], int((*sys.argv, 500)[3])
    picture = np.asarray(Image.open(photo).convert("RGB"), np.float32) / 255  # (H, W, 3) in [0, 1]
    xy, net, started = places(*picture.shape[:2]), build(), time.time()
    for step, loss in enumerate(train(net, xy, torch.from_numpy(picture).reshape(-1, 3), epochs)):
        if step % 1000 == 0:
            print(f"{time.time() - started:6.0f} s  step {step}  {-10 * math.log10(loss):.1f} dB", flush=True)
    with torch.no_grad():
        painted = torch.cat([net(part) for part in xy.split(8192)]).clamp(0, 1).reshape(picture.shape).numpy()
    print(f"PSNR {-10 * math.log10(np.mean((painted - picture) ** 2)):.2f} dB")
    Image.fromarray((painted * 255).round().astype(np.uint8)).save(painting)
