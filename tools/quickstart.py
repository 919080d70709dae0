# SPDX-License-Identifier: Apache-2.0
"""./dev quickstart: a one-machine network, the SDK's example against it, and an end to both.

State and configuration lie in a temporary directory; nothing of the user's is touched.
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def say(text: str) -> None:
    print(f"quickstart: {text}", file=sys.stderr, flush=True)


def wait_for(path: pathlib.Path, network: subprocess.Popen[bytes], log: pathlib.Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        if network.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"quickstart: the network did not come up:\n{log.read_text()}")
        time.sleep(0.1)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bcai-quickstart-") as name:
        directory = pathlib.Path(name)
        directory.chmod(0o711)  # the sandbox's users must pass through
        log = directory / "network.log"
        environment = {**os.environ, "XDG_CONFIG_HOME": str(directory / "config")}
        say("starting a coordinator and a node (`bcai up`)")
        with log.open("wb") as sink:
            network = subprocess.Popen(
                [os.environ["BCAI_PROGRAM"], "up", "--data-dir", directory / "state",
                 "--listen", "127.0.0.1:0", "--python", os.environ["BCAI_PYTHON"]],
                stdout=sink, stderr=subprocess.STDOUT, env=environment)
        try:
            wait_for(directory / "config" / "bcai" / "config.yaml", network, log)
            say("running examples/quickstart.py through the SDK")
            done = subprocess.run([sys.executable, ROOT / "examples" / "quickstart.py"],
                                  env=environment)
        finally:
            network.send_signal(signal.SIGTERM)
            try:
                network.wait(timeout=30)
            except subprocess.TimeoutExpired:
                network.kill()
        say("stopped the network" if done.returncode == 0 else f"failed:\n{log.read_text()}")
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
