# SPDX-License-Identifier: Apache-2.0
from bcai import SDK

client = SDK()
job = client.create_job("""
import torch
import torch.nn as nn
model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
x = torch.randn(1000, 784)
y = torch.randint(0, 10, (1000,))
for epoch in range(10):
    pred = model(x)
    loss = nn.CrossEntropyLoss()(pred, y)
    loss.backward()
print(f"Final loss: {loss.item()}")
""")
result = job.execute()
print(f"Job completed! Loss: {result.outputs['loss']}")
