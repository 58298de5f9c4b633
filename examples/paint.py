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

NET, BATCH, RATE, WARMUP, WAKE, SEED = (300, 300, 300, 300), 4096, 0.04, 0.1, 32, 0


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


@torch.no_grad()
def wake(net, x):
    """A unit that no pixel of the batch excites learns nothing ever after: raise its bias until 2 % of them do."""
    for layer in net[:-1:2]:
        pre = layer(x)
        if (silent := pre.amax(0) <= 0).any():
            layer.bias[silent] -= pre[:, silent].topk(min(len(x), max(2, len(x) // 50 + 1)), 0).values[-1]
        x = layer(x).relu()


def train(net, xy, rgb, epochs, batch=BATCH, seed=SEED):
    """Muon on the square matrices, Adam on the rest, each pixel once an epoch; yields every step's loss."""
    torch.set_flush_denormal(True)  # Adam's memory of resting weights decays to slow, tiny numbers
    matrices = [layer.weight for layer in net[2:-1:2]]
    muon = torch.optim.Muon(matrices, momentum=0.95, weight_decay=0.0)
    adam = torch.optim.Adam(list({*net.parameters()} - {*matrices}), betas=(0.9, 0.99), fused=True)
    step, total = 0, epochs * math.ceil(len(xy) / batch)
    for epoch in range(epochs):
        order = np.random.Generator(np.random.PCG64([seed, 1, epoch])).permutation(len(xy))
        for rows in torch.from_numpy(order).split(batch):
            warm = min(1, (step + 1) / (WARMUP * total))
            rate = RATE * warm * (1 + math.cos(math.pi * (step + 0.5) / total)) / 2
            muon.param_groups[0]["lr"], adam.param_groups[0]["lr"] = rate, 0.05 * rate
            net.zero_grad()
            loss = nn.functional.mse_loss(net(xy[rows]), rgb[rows])
            loss.backward()
            muon.step()
            adam.step()
            if (step := step + 1) % WAKE == 0 and step < 0.8 * total:
                wake(net, xy[rows])
            yield loss.item()


if __name__ == "__main__":
    photo, painting, epochs = sys.argv[1], sys.argv[2], int((*sys.argv, 500)[3])
    picture = np.asarray(Image.open(photo).convert("RGB"), np.float32) / 255  # (H, W, 3) in [0, 1]
    xy, net = places(*picture.shape[:2]), build()
    for step, loss in enumerate(train(net, xy, torch.from_numpy(picture).reshape(-1, 3), epochs)):
        if step % 500 == 0:
            print(f"step {step}  {-10 * math.log10(loss):.1f} dB", flush=True)
    painted = torch.cat([net(part).detach() for part in xy.split(8192)]).clamp(0, 1).view(picture.shape)
    print(f"PSNR {-10 * math.log10((painted - torch.from_numpy(picture)).square().mean()):.2f} dB")
    Image.fromarray((painted * 255).round().byte().numpy()).save(painting)
