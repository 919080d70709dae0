# SPDX-License-Identifier: Apache-2.0
"""Wheels and source distributions made here, and an index of them on the loopback (PEP 503)."""
import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def make_wheel(name, version="1.0", files=None, requires=(), modes=None, python=None, extras=()):
    """(file name, bytes). files: path → text, besides the module of that name; modes: path → the
    upper half of the zip's external attributes."""
    module = name.replace("-", "_")
    information = f"{module}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Provides-Extra: {extra}\n" for extra in extras)
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    if python:
        metadata += f"Requires-Python: {python}\n"
    contents = {f"{module}/__init__.py": f"version = {version!r}\n", **(files or {}),
                f"{information}/METADATA": metadata,
                f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\n"
                                        "Root-Is-Purelib: true\nTag: py3-none-any\n",
                f"{information}/RECORD": ""}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, text in contents.items():
            entry = zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0))
            entry.external_attr = (modes or {}).get(path, 0o100644) << 16
            wheel.writestr(entry, text)
    return f"{module}-{version}-py3-none-any.whl", data.getvalue()


# A backend in the source distribution itself (PEP 517): needs no package. `files` are the wheel's.
BACKEND = """
import zipfile

files = {files!r}

def build_wheel(directory, config_settings=None, metadata_directory=None):
    {before}
    name = {wheel!r}
    with zipfile.ZipFile(f"{{directory}}/{{name}}", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""


def make_source(name, version="1.0", files=None, links=None, sizes=None):
    """(file name, bytes). files: path below the top directory → text, or bytes; `links`: path →
    target; sizes: path → bytes that are said and not there. A path that begins with "/" or "../"
    stays as it is."""
    top = f"{name.replace('-', '_')}-{version}"
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for path, text in (files or {}).items():
            content = text if isinstance(text, bytes) else text.encode()
            entry = tarfile.TarInfo(path if path.startswith(("/", "../")) else f"{top}/{path}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for path, target in (links or {}).items():
            entry = tarfile.TarInfo(f"{top}/{path}")
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
        for path, size in (sizes or {}).items():
            entry = tarfile.TarInfo(f"{top}/{path}")
            entry.size = size
            archive.addfile(entry)
    return f"{top}.tar.gz", data.getvalue()


def source_with_backend(name, version="1.0", *, before="pass", wheel=None, metadata_name=None,
                        requires=(), hooks="", files=None, **keywords):
    """A source distribution whose own backend runs `before` and makes a wheel of that name."""
    file_name, data = make_wheel(metadata_name or name, version, **keywords)
    with zipfile.ZipFile(io.BytesIO(data)) as made:
        contents = {entry: made.read(entry).decode() for entry in made.namelist()}
    module, metadata_module = (n.replace("-", "_") for n in (name, metadata_name or name))
    contents = {path.replace(f"{metadata_module}-{version}.", f"{module}-{version}."): text
                for path, text in contents.items()}
    wheel = wheel or f"{module}-{version}-py3-none-any.whl"
    backend = BACKEND.format(files=contents, before=before, wheel=wheel) + hooks
    return make_source(name, version, {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "pyproject.toml": f"[build-system]\nrequires = {list(requires)!r}\n"
                          'build-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": backend, **(files or {})})


class Index:
    def __init__(self):
        self.files = {}     # package → file name → bytes
        self.served = {}    # file name → bytes served instead of what was promised
        self.requests = []  # paths
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                index.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        self.url = f"http://{self.host}/simple"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def add(self, name, *arguments, **keywords):
        file_name, data = make_wheel(name, *arguments, **keywords)
        self.add_file(name, file_name, data)
        return file_name, data

    def add_file(self, name, file_name, data):
        self.files.setdefault(name, {})[file_name] = data

    def add_source(self, name, *arguments, **keywords):
        file_name, data = source_with_backend(name, *arguments, **keywords)
        self.add_file(name, file_name, data)
        return file_name, data

    def answer(self, request):
        self.requests.append(request.path)
        parts = request.path.strip("/").split("/")
        body, kind = None, "text/html"
        if parts[0] == "simple" and len(parts) == 2 and parts[1] in self.files:
            body = "".join(
                f'<a href="../../files/{parts[1]}/{name}#sha256={hashlib.sha256(data).hexdigest()}"'
                f">{name}</a>\n" for name, data in self.files[parts[1]].items()).encode()
        elif parts[0] == "files" and len(parts) == 3:
            kind = "application/octet-stream"
            body = self.served.get(parts[2], self.files.get(parts[1], {}).get(parts[2]))
        request.send_response(404 if body is None else 200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body or b"")))
        request.end_headers()
        if body and request.command == "GET":
            request.wfile.write(body)
