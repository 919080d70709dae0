# SPDX-License-Identifier: Apache-2.0
"""What is sent again, what is not, and which exception comes of it."""

from __future__ import annotations

import socket
import time

import bcai
import pytest
from bcai import SDK
from bcai.wire import Request, Response, Retry, Sleep, TransportFailure, exchange, retry_after_s
from fake_coordinator import KEY, FakeCoordinator


@pytest.mark.parametrize("status", [0, 429, 502, 503, 504])
def test_passing_failures_are_retried(client: SDK, fake: FakeCoordinator, status: int) -> None:
    client.whoami()
    fake.fail("POST", "/v1/jobs", status, 2)
    fake.fail("GET", "/v1/jobs/[^/]*", status, 2)
    fake.fail("GET", "/v1/jobs/.*/results", status, 1)
    assert client.create_job("pass").execute().outputs["loss"] == 2.25
    assert fake.started == 1


@pytest.mark.parametrize("status", [0, 503])
def test_a_lost_answer_submits_once(client: SDK, fake: FakeCoordinator, status: int) -> None:
    client.whoami()
    fake.fail("POST", "/v1/jobs", status, 3, after=True)
    job = client.create_job("pass")
    job.execute()
    assert fake.count("POST", "/v1/jobs") == 4
    assert (fake.started, list(fake.jobs)) == (1, [job.id])


def test_without_auto_retry_it_is_sent_once(fake: FakeCoordinator) -> None:
    fake.fail("POST", "/v1/jobs", 503)
    with (
        SDK(fake.endpoint, KEY, auto_retry=False) as client,
        pytest.raises(bcai.Unavailable, match="spoiled"),
    ):
        client.create_job("pass").execute()
    assert fake.count("POST", "/v1/jobs") == 1


def test_retry_after_is_honoured(client: SDK, fake: FakeCoordinator) -> None:
    client.whoami()
    fake.fail("POST", "/v1/jobs", 429, headers={"Retry-After": "1"})
    began = time.monotonic()
    client.create_job("pass").execute()
    assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize("status", [500, 501])
def test_lasting_failures_are_not_retried(client: SDK, fake: FakeCoordinator, status: int) -> None:
    fake.fail("GET", "/v1/whoami", status)
    with pytest.raises(bcai.BcaiError):
        client.whoami()
    assert fake.count("GET", "/v1/whoami") == 1


def test_the_same_id_with_another_body_is_a_conflict(client: SDK) -> None:
    job = client.create_job("pass")
    job.execute()
    with pytest.raises(bcai.Conflict) as caught:
        client.create_job("other", id=job.id).execute()
    assert caught.value.status == 409
    assert client.create_job("pass", id=job.id).execute().outputs["loss"] == 2.25


def test_findings_are_told(client: SDK) -> None:
    with pytest.raises(bcai.InvalidArgument) as caught:
        client.create_job("pass", hardware={"gpu_memry": "8GB"}).execute()
    (finding,) = caught.value.findings
    assert (finding.pointer, finding.line, finding.column) == ("/hardware", 3, 8)
    assert "gpu_memry" in str(caught.value)
    assert "3:8: /hardware" in str(caught.value)


def test_a_wrong_key(fake: FakeCoordinator) -> None:
    with SDK(fake.endpoint, "bcai_wrong_key") as client, pytest.raises(bcai.Unauthenticated):
        client.jobs()


def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with SDK(endpoint, KEY) as client, pytest.raises(bcai.Unavailable, match="no connection"):
        client.jobs()


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("invalid_argument", 400, bcai.InvalidArgument),
        ("unauthenticated", 401, bcai.Unauthenticated),
        ("permission_denied", 403, bcai.PermissionDenied),
        ("not_found", 404, bcai.NotFound),
        ("already_exists", 409, bcai.Conflict),
        ("failed_precondition", 412, bcai.FailedPrecondition),
        ("resource_exhausted", 429, bcai.ResourceExhausted),
        ("cancelled", 499, bcai.Cancelled),
        ("internal", 500, bcai.InternalError),
        ("data_loss", 500, bcai.DataLoss),
        ("unimplemented", 501, bcai.Unimplemented),
        ("unavailable", 503, bcai.Unavailable),
        ("deadline_exceeded", 504, bcai.DeadlineExceeded),
        ("a_later_word", 404, bcai.NotFound),
        ("a_later_word", 413, bcai.ResourceExhausted),
        ("a_later_word", 418, bcai.InvalidArgument),
        ("a_later_word", 599, bcai.InternalError),
    ],
)
def test_exception_of_code(code: str, status: int, expected: type[bcai.BcaiError]) -> None:
    body = b'{"code": "%s", "detail": "what", "errors": [7]}' % code.encode()
    flow = exchange(Request("GET", "/"), Retry(enabled=False))
    next(flow)
    from bcai.wire import problem_of

    error = problem_of(Request("GET", "/"), Response(status, {}, body))
    assert type(error) is expected
    assert (error.message, error.status) == ("what", status)


def test_a_body_that_is_no_problem() -> None:
    from bcai.wire import problem_of

    error = problem_of(Request("GET", "/x"), Response(502, {}, b"<html>Bad Gateway</html>"))
    assert type(error) is bcai.Unavailable
    assert "GET /x: HTTP status 502: <html>" in str(error)


def run_out(retry: Retry, reply: Response | TransportFailure) -> list[float]:
    """The delays of an exchange that is always answered the same, by a clock that stands still."""
    flow = exchange(Request("GET", "/"), retry)
    delays: list[float] = []
    step = next(flow)
    try:
        while len(delays) < 50:
            step = flow.send(None if isinstance(step, Sleep) else reply)
            if isinstance(step, Sleep):
                delays.append(step.seconds)
    except bcai.BcaiError:
        pass
    return delays


def test_the_delays_double_to_five_seconds() -> None:
    retry = Retry()
    retry.reached = True
    delays = run_out(retry, TransportFailure("gone"))
    for number, delay in enumerate(delays):
        full = min(5.0, 0.1 * 2**number)
        assert full / 2 <= delay <= full
    assert len(set(delays)) > 40


def test_retry_after_forms() -> None:
    def seconds(text: str) -> float:
        return retry_after_s(Response(429, {"retry-after": text}, b""))

    assert seconds("2.5") == 2.5
    assert seconds("100000") == 60.0
    assert seconds("-1") == 0.0
    assert seconds("nan") == 0.0
    assert seconds("soon") == 0.0
    assert seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after_s(Response(429, {}, b"")) == 0.0
