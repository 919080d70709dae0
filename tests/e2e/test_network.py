# SPDX-License-Identifier: Apache-2.0
"""What a job reaches: nothing, or the hosts that it names and its node allows. The servers are this
machine's own, on addresses of the loopback; addresses elsewhere are those of documentation."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bcai import SDK
from machine import run_command, walkable
from node_network import NodeNetwork, started


class Servers:
    """TCP on two addresses, UDP, and two unix sockets; each keeps who came."""

    def __init__(self, directory: Path) -> None:
        self.came: list[str] = []
        self.path = str(directory / "open.socket")
        self.abstract = f"bcai-test-{id(self)}"
        self.allowed = self._listen("allowed", socket.AF_INET, ("127.0.0.2", 0))[1]
        self.other = self._listen("other", socket.AF_INET, ("127.0.0.1", 0))[1]
        self._listen("unix", socket.AF_UNIX, self.path)
        self._listen("abstract", socket.AF_UNIX, "\0" + self.abstract)
        Path(self.path).chmod(0o777)
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", 0))
        self.udp = datagrams.getsockname()[1]
        threading.Thread(target=self._receive, args=(datagrams,), daemon=True).start()

    def _listen(self, name: str, family: int, address: object) -> tuple[str, int]:
        server = socket.socket(family)
        server.bind(address)
        server.listen()
        threading.Thread(target=self._serve, args=(name, server), daemon=True).start()
        bound = server.getsockname()
        return bound if isinstance(bound, tuple) else ("", 0)

    def _serve(self, name: str, server: socket.socket) -> None:
        while True:
            peer, _ = server.accept()
            self.came.append(name)
            with peer:
                peer.settimeout(10)
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    def _receive(self, server: socket.socket) -> None:
        while True:
            server.recvfrom(100)
            self.came.append("udp")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Servers:
    directory = tmp_path_factory.mktemp("servers")
    walkable(directory)
    return Servers(directory)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, servers: Servers) -> Iterator[NodeNetwork]:
    allowed = f'["127.0.0.2:{servers.allowed}", "*:{servers.other}"]'
    yield from started(tmp_path_factory, "network", f"network: {allowed}\nindex_url: none\n")


@pytest.fixture
def client(network: NodeNetwork) -> Iterator[SDK]:
    with network.client() as client:
        yield client


# Each way out is a function; what it returns is what it reached.
WAYS = """
import http.client, os, socket, struct, urllib.request

def tcp(address): socket.create_connection(address, 2).close(); return 'connected'
def udp(address):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)
    s.sendto(b'x', address); s.recv(10); return 'answered'
def kind(*arguments): socket.socket(*arguments); return 'made'
def unix(path):
    s = socket.socket(socket.AF_UNIX); s.connect(path); return 'connected'
def fetch(url): return urllib.request.urlopen(url, timeout=5).read().decode()
def scoped():
    s = socket.socket(socket.AF_INET6); s.connect(('::1', OTHER)); return 'connected'
def through_proxy(target):
    c = http.client.HTTPConnection('127.0.0.1', 3128, timeout=5)
    c.request('CONNECT', target, headers={'Host': target}); r = c.getresponse()
    return f"{r.status} {'' if r.status == 200 else r.read().decode()}"

WAYS = {
    'the host itself': lambda: tcp(('127.0.0.1', OTHER)),
    'the allowed one, directly': lambda: tcp(('127.0.0.2', ALLOWED)),
    'elsewhere': lambda: tcp(('192.0.2.1', 80)),
    'metadata': lambda: tcp(('169.254.169.254', 80)),
    'datagrams': lambda: udp(('127.0.0.1', UDP)),
    'datagrams elsewhere': lambda: udp(('192.0.2.53', 53)),
    'names': lambda: socket.getaddrinfo('name.example', 80),
    'ipv6': scoped,
    'raw': lambda: kind(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    'packet': lambda: kind(socket.AF_PACKET, socket.SOCK_RAW),
    'vsock': lambda: kind(socket.AF_VSOCK, socket.SOCK_STREAM),
    'netlink': lambda: kind(socket.AF_NETLINK, socket.SOCK_RAW),
    'unix': lambda: unix(PATH),
    'abstract': lambda: unix('\\0' + ABSTRACT),
    'urllib': lambda: fetch(f'http://127.0.0.1:{OTHER}/'),
    'urllib, the allowed one': lambda: fetch(f'http://127.0.0.2:{ALLOWED}/'),
    'connect, the allowed one': lambda: through_proxy(f'127.0.0.2:{ALLOWED}')[:3],
    'connect, another port': lambda: through_proxy(f'127.0.0.2:{OTHER}'),
    'connect, the host': lambda: through_proxy(f'127.0.0.1:{OTHER}'),
    'connect, metadata': lambda: through_proxy('169.254.169.254:80'),
    'connect, a name not asked for': lambda: through_proxy('other.example:80'),
}
reached = {}
for name, way in WAYS.items():
    try:
        reached[name] = str(way())
    except OSError as error:
        reached[name] = 'failed'
"""


def ways(servers: Servers) -> str:
    return (
        f"OTHER, ALLOWED, UDP = {servers.other}, {servers.allowed}, {servers.udp}\n"
        f"PATH, ABSTRACT = {servers.path!r}, {servers.abstract!r}\n{WAYS}"
    )


def test_without_a_network_nothing_leaves(client: SDK, servers: Servers) -> None:
    servers.came.clear()
    result = client.create_job(ways(servers), import_policy="off").execute()
    reached = result.outputs["reached"]
    assert len(reached) == 21
    assert {name: what for name, what in reached.items() if what != "failed"} == {}
    assert servers.came == []


def test_with_one_host_allowed_only_that_is_reached(
    client: SDK, network: NodeNetwork, servers: Servers
) -> None:
    servers.came.clear()
    target = f"127.0.0.2:{servers.allowed}"
    job = client.create_job(ways(servers), import_policy="off", network={"allow": [target]})
    reached = dict(job.execute().outputs["reached"])
    assert reached.pop("urllib, the allowed one") == "hello"
    assert reached.pop("connect, the allowed one") == "200"
    for name in ("another port", "the host", "metadata", "a name not asked for"):
        assert reached.pop(f"connect, {name}").startswith("403 ")
    assert {name: what for name, what in reached.items() if what != "failed"} == {}
    assert servers.came == ["allowed", "allowed"]
    log = network.log_of_node()
    lines = [line for line in log.splitlines() if "job.connection" in line and job.id in line]
    assert len(lines) == 6
    assert sum(target in line and "is not allowed" not in line for line in lines) == 2
    assert sum("is not allowed; allowed is" in line for line in lines) == 4


def test_a_name_that_leads_inside_is_refused(client: SDK, servers: Servers) -> None:
    """The operator allows a port of any host: that does not make private addresses of them."""
    servers.came.clear()
    target = f"localhost:{servers.other}"
    job = client.create_job(
        "import http.client\n"
        "c = http.client.HTTPConnection('127.0.0.1', 3128)\n"
        f"c.request('CONNECT', '{target}'); r = c.getresponse()\n"
        "answer = f'{r.status} {r.read().decode()}'\n",
        network={"allow": [target]},
    )
    assert job.execute().outputs["answer"] == f"403 {target}: it has no public address\n"
    assert servers.came == []


def test_a_host_that_no_node_allows_waits_with_the_reason(client: SDK) -> None:
    job = client.create_job("x = 1", network={"allow": ["elsewhere.test:443"]}, queue_timeout=3)
    with pytest.raises(Exception, match="lets no job reach elsewhere.test:443"):
        job.execute()


def test_what_is_no_host_and_port_is_refused(client: SDK) -> None:
    for bad in ("pypi.org", "*:443", "https://pypi.org:443", "PyPI.org:443"):
        with pytest.raises(Exception, match="expected host:port"):
            client.create_job("x = 1", network={"allow": [bad]}).execute()


def keys(network: NodeNetwork, *arguments: str) -> str:
    connection = ["--endpoint", network.endpoint, "--api-key", network.key]
    done = run_command(network.directory, ["keys", *arguments, *connection])
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_key_permits_what_it_was_made_with(network: NodeNetwork, servers: Servers) -> None:
    target = f"127.0.0.2:{servers.allowed}"
    create = ["create", "--name", "narrow", "--role", "member"]
    some = keys(network, *create, "--allow-network", target, "--allow-network", "*.test:443")
    none = keys(network, *create, "--no-network").strip()
    with SDK(network.endpoint, some.strip()) as client:
        taken = client.create_job("x = 1", network={"allow": [target]}).execute(wait=False)
        taken.cancel()  # this node takes its operator's jobs alone
        job = client.create_job("x = 1", network={"allow": [f"127.0.0.1:{servers.other}"]})
        refusal = (
            rf"the key key_\w+ \(narrow\) does not permit 127.0.0.1:{servers.other}; it permits "
            rf"{target}, \*.test:443"
        )
        with pytest.raises(Exception, match=refusal):
            job.execute()
    with SDK(network.endpoint, none) as client, pytest.raises(Exception, match="permits no host"):
        client.create_job("x = 1", network={"allow": [target]}).execute()
    table = keys(network)
    assert re.search(rf"narrow +member +{target} \*.test:443", table)
    assert re.search(r"narrow +member +none", table) and re.search(r"test +owner +any", table)
    bad = ["keys", *create, "--allow-network", "pypi.org"]
    refused = run_command(network.directory, bad)
    assert refused.returncode == 2 and "expected host:port" in refused.stderr
