# SPDX-License-Identifier: Apache-2.0
"""From a port of the sandbox's loopback to the unix socket of the proxy outside. Copies bytes and
looks at none of them: what is allowed is decided outside."""
from _socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET
from _socket import socket as _Socket

_BACKLOG = 128


def listen(port):
    listener = _Socket(AF_INET, SOCK_STREAM)
    listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(_BACKLOG)
    return listener


def serve(listener, path):
    """Does not return. Imports what it needs in its own process: asyncio is slow to import."""
    import asyncio
    import socket

    async def pump(reader, writer):
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:
            writer.close()

    async def bring(reader, writer):
        try:
            answers, questions = await asyncio.open_unix_connection(path)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, questions), pump(answers, writer))
        questions.close()
        writer.close()

    async def run():
        server = await asyncio.start_server(
            bring, sock=socket.socket(AF_INET, SOCK_STREAM, fileno=listener.detach()))
        await server.serve_forever()

    asyncio.run(run())
