# SPDX-License-Identifier: Apache-2.0
"""Trains a small network in a sandbox and shows its output while it runs.

It runs on the network that BCAI_ENDPOINT and BCAI_API_KEY or `bcai config` name, and else on this
machine.
"""

from bcai import SDK, LogLine, Progress

TRAIN = """
import bcai
import torch
import torch.nn as nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
x = torch.randn(1000, 784)
y = torch.randint(0, 10, (1000,))
epochs = 10
for epoch in range(epochs):
    optimizer.zero_grad()
    loss = nn.CrossEntropyLoss()(model(x), y)
    loss.backward()
    optimizer.step()
    print(f"epoch {epoch + 1}: loss {loss.item():.4f}")
    bcai.log_metric("loss", loss.item(), step=epoch)
    bcai.progress((epoch + 1) / epochs, f"epoch {epoch + 1} of {epochs}")
print(f"Final loss: {loss.item()}")
"""


def show_line(line: LogLine) -> None:
    print(f"  | {line}", flush=True)


def show_progress(progress: Progress) -> None:
    if progress.fraction is not None:
        print(f"  {progress.fraction:4.0%} {progress.message}", flush=True)


def main() -> None:
    with SDK() as client:
        job = client.create_job(TRAIN, name="quickstart")
        result = job.execute(on_log=show_line, on_progress=show_progress)
        print(f"Job completed! Loss: {result.outputs['loss']}")
        print(
            f"{job.id}: {result.usage.wall_ms} ms, {result.usage.cpu_ms} ms of CPU, "
            f"{result.usage.memory_peak_bytes / 1e6:.0f} MB at most"
        )


if __name__ == "__main__":
    main()
