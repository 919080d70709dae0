# SPDX-License-Identifier: Apache-2.0
"""JAX and TensorFlow as environments over the base of development: some 400 MB from PyPI, and
minutes of building. ./dev test frameworks"""
import json
import os
import socket
import subprocess

import pytest
from conftest import ROOT, find_program, find_uv

BASE = str(ROOT / ".venv/bin/python")

JAX = """
import jax, jax.numpy as jnp
def loss(w, x, y): return jnp.mean((x @ w - y) ** 2)
x = jnp.arange(12.0).reshape(4, 3) / 12
y = x @ jnp.array([1.0, -2.0, 3.0])
w = jnp.zeros(3)
step = jax.jit(lambda w: w - 0.5 * jax.grad(loss)(w, x, y))
first = float(loss(w, x, y))
for _ in range(50): w = step(w)
print("loss fell:", first > 10 * float(loss(w, x, y)))
"""
TENSORFLOW = """
import tensorflow as tf
tf.random.set_seed(1)
model = tf.keras.Sequential([tf.keras.layers.Dense(8, activation="relu"),
                             tf.keras.layers.Dense(1)])
model.compile(optimizer=tf.keras.optimizers.Adam(0.05), loss="mse")
x = tf.reshape(tf.range(64.0), (16, 4)) / 64
y = tf.reduce_sum(x, axis=1, keepdims=True)
losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]
print("loss fell:", losses[0] > losses[-1])
"""


def lacking():
    if not os.path.exists(BASE):
        return "needs .venv: ./dev setup"
    try:
        socket.create_connection(("pypi.org", 443), 5).close()
    except OSError:
        return "pypi.org does not answer"
    return ""


@pytest.mark.skipif(bool(lacking()), reason=lacking())
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("requirement", "code"), [("jax", JAX), ("tensorflow-cpu", TENSORFLOW)])
def test_a_framework_trains(tmp_path, requirement, code):
    path = tmp_path / "request.json"
    path.write_text(json.dumps({
        "state_directory": str(tmp_path / "state"), "uv": find_uv(), "python": BASE,
        "rounds": [[{"requirements": [requirement], "code": code}]]}))
    done = subprocess.run([find_program(), path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)[0][0]
    assert "loss fell: True" in made.get("stdout", ""), made
    assert "numpy" in made["lock"]["base"]
