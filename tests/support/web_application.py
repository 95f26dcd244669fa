"""A web application as a job would run it, on nothing but Python's own library: `web_application.py PORT`.

Its paths do what the gateway has to cope with.
"""

import asyncio
import base64
import hashlib
import json
import os
import sys
from urllib.parse import parse_qs, urlsplit

HEAD_BYTES = 1 << 20
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests on one connection."""
    try:
        while await _one(reader, writer):
            pass
    except (asyncio.IncompleteReadError, ConnectionError):
        print("a client has gone", flush=True)
    finally:
        writer.close()


async def _one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    raw = await reader.readuntil(b"\r\n\r\n")
    first, *lines = raw[:-4].decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    url = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    print(f"{method} {target}", flush=True)
    if headers.get("upgrade", "").lower() == "websocket" and url.path == "/websocket":
        await _echo_frames(reader, writer, headers["sec-websocket-key"])
        return False
    if url.path == "/refuse-body":
        writer.write(_response(413, b"too much"))
        await writer.drain()
        return False
    if headers.get("expect") and url.path != "/refuse-body":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await _body(reader, headers)
    if url.path == "/forever":
        await _forever(reader, writer, loud="loud" in query)
    return await _answer(method, url.path, query, headers, lines, body, writer)


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _response(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _answer(
    method: str,
    path: str,
    query: dict[str, str],
    headers: dict[str, str],
    lines: list[str],
    body: bytes,
    writer: asyncio.StreamWriter,
) -> bool:
    match path:
        case "/digest":
            writer.write(_response(200, hashlib.sha256(body).hexdigest().encode()))
        case "/bytes":
            await _bytes(int(query["n"]), writer)
        case "/events":
            await _events(int(query["n"]), writer)
            return False
        case "/until-the-end":
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it")
            await writer.drain()
            return False
        case "/dies":
            framing = "Transfer-Encoding: chunked" if "chunked" in query else "Content-Length: 1000"
            writer.write(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
            writer.write(b"5\r\nbegun\r\n" if "chunked" in query else b"begun")
            await writer.drain()
            return False
        case "/raw":
            answer = base64.urlsafe_b64decode(query["answer"])
            writer.write(answer.replace(b"PADDING", b"x" * 70_000))
            await writer.drain()
            return "stay" in query
        case "/status":
            status = int(query["is"])
            content = b"" if status in (204, 304) else b"status"
            length = [] if status in (204, 304) else [f"Content-Length: {len(content)}"]
            writer.write("\r\n".join([f"HTTP/1.1 {status} Whatever", *length, "", ""]).encode())
            writer.write(content if method != "HEAD" else b"")
        case _:
            rank = os.environ.get("UCLOUD_RANK")
            port = writer.get_extra_info("sockname")[1]
            seen = {"method": method, "path": path, "query": query, "rank": rank, "port": port}
            content = json.dumps({**seen, "headers": lines}).encode()
            head = _response(200, content, "Content-Type: application/json")[: -len(content)]
            writer.write(head + (content if method != "HEAD" else b""))
    await writer.drain()
    return "close" not in headers.get("connection", "")


async def _forever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, loud: bool) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: begun\n\n")
    while not reader.at_eof():
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.write(b": still there\n\n" if loud else b"")
    raise ConnectionError


async def _bytes(count: int, writer: asyncio.StreamWriter) -> None:
    """Send so many bytes that are easily made again."""
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {count}\r\n\r\n".encode())
    piece = bytes(range(256)) * 256
    while count:
        writer.write(piece[:count])
        count -= min(count, len(piece))
        await writer.drain()


async def _events(count: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in range(count):
        event = f"data: {number}\n\n".encode()
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        await writer.drain()
        await asyncio.sleep(0.05)
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _echo_frames(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
    """Speak WebSocket (RFC 6455): send every short message back."""
    accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    writer.write("\r\n".join([*lines, f"Sec-WebSocket-Accept: {accept}", "", ""]).encode())
    while True:
        first, second = await reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            length = int.from_bytes(await reader.readexactly(2))
        mask = await reader.readexactly(4)
        data = bytes(b ^ mask[i % 4] for i, b in enumerate(await reader.readexactly(length)))
        size = bytes([length]) if length < 126 else b"\x7e" + length.to_bytes(2)
        writer.write(bytes([first]) + size + data)
        await writer.drain()
        if first & 0x0F == 8:
            return


async def main() -> None:
    """Listen on all addresses."""
    server = await asyncio.start_server(serve, "0.0.0.0", int(sys.argv[1]), limit=HEAD_BYTES)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
