# SPDX-License-Identifier: Apache-2.0
"""For steps in a sandbox: files of an index (PEP 503 and 691). What goes wrong ends the process,
with 3 when what was found is wrong, with 4 when the index cannot be reached."""
import hashlib
import json
import os
import re
import ssl
import sys
import urllib.error
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

PAGE_BYTES_MAX = 64 << 20
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"


def fail(code, text):
    print(text, file=sys.stderr)
    sys.exit(code)


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "a" and attributes.get("href"):
            self.found.append(attributes)


def file_of(address, **members):
    address, fragment = urldefrag(address)
    sha256 = re.search(r"(?:^|&)sha256=([0-9a-f]{64})", fragment)
    return {"address": address, "name": unquote(urlsplit(address).path.rpartition("/")[2]),
            "sha256": sha256[1] if sha256 else "", **members}


def files_of_page(page, content_type, place):
    """Each with its address, name, SHA-256 ("" when it is not told), the Python that it requires,
    and whether it was withdrawn."""
    files = []
    if "json" in content_type:
        for file in json.loads(page)["files"]:
            files.append(file_of(urljoin(place, file["url"]),
                                 requires_python=file.get("requires-python") or "",
                                 yanked=bool(file.get("yanked"))))
            files[-1]["sha256"] = file.get("hashes", {}).get("sha256") or files[-1]["sha256"]
        return files
    links = Links()
    links.feed(page.decode("utf-8", "replace"))
    for link in links.found:
        files.append(file_of(urljoin(place, link["href"]),
                             requires_python=link.get("data-requires-python") or "",
                             yanked="data-yanked" in link))
    return files


class PackageIndex:
    def __init__(self, url):
        for name in ("no_proxy", "NO_PROXY"):  # the index may be called localhost by its operator
            os.environ.pop(name, None)
        self.url = url.rstrip("/")
        handlers = []
        if url.startswith("https://"):
            context = ssl.create_default_context(cafile="/opt/environment/ca.pem")
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self.opener = urllib.request.build_opener(*handlers)

    def open(self, url, headers=None):
        try:
            return self.opener.open(urllib.request.Request(url, headers=headers or {}), timeout=60)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            fail(4, f"{url}: {error}")
        except OSError as error:
            fail(4, f"{url}: {error}")

    def files(self, package):
        answer = self.open(f"{self.url}/{package}/", {"Accept": ACCEPT})
        if answer is None:
            fail(3, f"this node's index has no package {package}")
        with answer:
            page = answer.read(PAGE_BYTES_MAX)
            return files_of_page(page, answer.headers.get("Content-Type", ""), answer.url)

    def fetch(self, package, name, sha256, size, size_max):
        """Into outputs/. `size` 0: not known, at most `size_max`. Returns the size."""
        url = next((file["address"] for file in self.files(package) if file["name"] == name), None)
        if url is None:
            fail(3, f"this node's index has no file {name}")
        answer = self.open(url)
        if answer is None:
            fail(3, f"{url} is not there, though the index names it")
        digest, found = hashlib.sha256(), 0
        try:
            with answer, open(Path("outputs", name), "wb") as file:
                while data := answer.read(1 << 20):
                    found += len(data)
                    digest.update(data)
                    if found > (size or size_max):
                        break
                    file.write(data)
        except OSError as error:
            fail(4, f"{url}: {error}")
        if not size and found > size_max:
            fail(3, f"{name} is too large: more than {size_max} bytes")
        if (size or found, sha256) != (found, digest.hexdigest()):
            fail(3, f"{name} has the wrong hash: expected {size or found} bytes of SHA-256 "
                    f"{sha256}, found {found} of {digest.hexdigest()}")
        return found
