# SPDX-License-Identifier: Apache-2.0
"""Submission: latency at a steady 200 a second, and throughput, each one durable before its answer.

Latency runs from the moment a submission was due, so a queue before the server counts too.
"""

import http.client
import json
import subprocess
import tempfile
import threading
import time
import urllib.parse

import measure

BODY = {"code": "print(1)\n" + "# " + "x" * 1900 + "\n"}
WRK = """
wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer {key}"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[{body}]]
done = function(summary, latency, requests)
  io.write(string.format("answers %d errors %d p50 %f p99 %f\\n", summary.requests,
    summary.errors.status + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


def steady(network: measure.Network, rate: int, seconds: int, threads: int = 8) -> list[float]:
    """Milliseconds of each submission, sent on a schedule whatever the answers take."""
    body = json.dumps(BODY)
    headers = {"Authorization": f"Bearer {network.key}", "Content-Type": "application/json"}
    address = urllib.parse.urlsplit(network.endpoint).netloc
    took: list[float] = []
    began = time.perf_counter() + 0.5

    def worker(index: int) -> None:
        connection = http.client.HTTPConnection(address, timeout=30)
        connection.connect()
        for number in range(index, rate * seconds, threads):
            due = began + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            connection.request("POST", "/v1/jobs", body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 202:
                raise SystemExit(f"submission answered {answer.status}")
            took.append((time.perf_counter() - due) * 1000)

    workers = [threading.Thread(target=worker, args=(index,)) for index in range(threads)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    return took


def flood(network: measure.Network, connections: int, seconds: int) -> tuple[float, float]:
    """Submissions a second and p99 in milliseconds, with wrk."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK.format(key=network.key, body=json.dumps(BODY)))
        script.flush()
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name,
             network.endpoint + "/v1/jobs"], capture_output=True, text=True, check=True)
    words = done.stdout.splitlines()[-1].split()
    if words[3] != "0":
        raise SystemExit(f"wrk saw errors: {done.stdout}")
    return int(words[1]) / seconds, float(words[7])


def main() -> None:
    options = measure.parser(__doc__)
    options.add_argument("--seconds", type=int, default=10)
    chosen = options.parse_args()
    with measure.network(with_node=False) as network:
        measure.progress(f"200 submissions a second for {chosen.seconds} s")
        steady(network, 200, 1)
        took = steady(network, 200, chosen.seconds)
        measure.progress("as many as 64 connections carry")
        rate, p99 = flood(network, 64, min(chosen.seconds, 5))
    measure.report([
        measure.Row("submit_p50_ms", measure.median(took), "ms", goal="<= 5"),
        measure.Row("submit_p99_ms", measure.percentile(took, 99), "ms", goal="<= 25"),
        measure.Row("submit_max_ms", max(took), "ms"),
        measure.Row("submit_throughput", rate, "1/s"),
        measure.Row("submit_throughput_p99_ms", p99, "ms"),
    ], chosen)


if __name__ == "__main__":
    main()
