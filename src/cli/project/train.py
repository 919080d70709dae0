"""Trains a small network to tell two spirals apart."""

import argparse
import math
import pathlib

import torch
from torch import nn

try:
    import bcai
except ImportError:  # run plainly, without the bcai package
    bcai = None


def spirals(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points on two spirals, and which spiral each is on."""
    turn = torch.rand(count) * 2.5 * math.pi + 0.5
    label = torch.randint(0, 2, (count,))
    angle = turn + label * math.pi
    points = torch.stack([turn * angle.cos(), turn * angle.sin()], dim=1) / 8
    return points + torch.randn_like(points) * 0.02, label


def accuracy(model: nn.Module, points: torch.Tensor, label: torch.Tensor) -> float:
    with torch.no_grad():
        return (model(points).argmax(dim=1) == label).float().mean().item()


def train(steps: int) -> tuple[nn.Module, float]:
    model = nn.Sequential(
        nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    loss_function = nn.CrossEntropyLoss()
    points, label = spirals(1000)
    loss = torch.tensor(0.0)
    for step in range(1, steps + 1):
        loss = loss_function(model(points), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if bcai:
            bcai.progress(step / steps, f"step {step} of {steps}")
            bcai.log_metric("loss", loss.item(), step=step)
        if step == 1 or step % 50 == 0:
            print(f"step {step:4d}  loss {loss.item():.4f}", flush=True)
    return model, loss.item()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()

    torch.manual_seed(0)
    model, loss = train(arguments.steps)
    test_accuracy = accuracy(model, *spirals(1000))
    print(f"accuracy on points it has not seen: {test_accuracy:.1%}")

    pathlib.Path("outputs").mkdir(exist_ok=True)
    torch.save(model.state_dict(), "outputs/model.pt")
    if bcai:
        bcai.output(loss=loss, test_accuracy=test_accuracy)
