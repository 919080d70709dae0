# SPDX-License-Identifier: Apache-2.0
"""JAX and TensorFlow as requirements of a job, which trains and gives its losses back: some 400 MB
from PyPI. ./dev test frameworks"""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bcai import SDK
from node_network import started

UV = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))

# Least squares by gradient descent: what it must come to is known.
JAX = """
import jax, jax.numpy as jnp
def loss(w, x, y): return jnp.mean((x @ w - y) ** 2)
x = jax.random.normal(jax.random.key(1), (32, 3))
y = x @ jnp.array([1.0, -2.0, 3.0])
w = jnp.zeros(3)
step = jax.jit(lambda w: w - 0.1 * jax.grad(loss)(w, x, y))
losses = [float(loss(w, x, y))]
for _ in range(200):
    w = step(w)
    losses.append(float(loss(w, x, y)))
weights = [float(each) for each in w]
"""
TENSORFLOW = """
import tensorflow as tf
tf.random.set_seed(1)
x = tf.random.normal((32, 3))
y = x @ tf.constant([[1.0], [-2.0], [3.0]])
model = tf.keras.Sequential([tf.keras.Input((3,)), tf.keras.layers.Dense(1, use_bias=False)])
model.compile(optimizer=tf.keras.optimizers.SGD(0.1), loss="mse")
losses = model.fit(x, y, batch_size=32, epochs=200, verbose=0).history["loss"]
weights = [float(each) for each in model.get_weights()[0][:, 0]]
"""


def lacking() -> str:
    if UV is None:
        return "needs uv: pip install uv"
    try:
        socket.create_connection(("pypi.org", 443), 5).close()
    except OSError:
        return "pypi.org does not answer"
    return ""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SDK]:
    for network in started(tmp_path_factory, "frameworks", f"uv: {UV}\n"):
        with network.client() as client:
            yield client


@pytest.mark.skipif(bool(lacking()), reason=lacking())
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("requirement", "code"), [("jax", JAX), ("tensorflow-cpu", TENSORFLOW)])
def test_a_framework_trains(client: SDK, requirement: str, code: str) -> None:
    hardware = {"memory": "3GB", "disk": "2GB"}
    job = client.create_job(code, requirements=[requirement], hardware=hardware, timeout=300)
    result = job.execute()
    losses = result.outputs["losses"]
    assert losses[0] > 1 and losses[-1] < 1e-6 * losses[0], losses
    assert result.outputs["weights"] == pytest.approx([1, -2, 3], abs=1e-3)
    lock = result.environment_lock
    assert lock is not None and "numpy" in lock["base"]
