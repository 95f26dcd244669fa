"""A desktop as a job would run it: `desktop.py rfb|websockify PORT` greets as a VNC server, then echoes."""

import asyncio
import sys

GREETING = b"RFB 003.008\n"


async def rfb(port: int) -> None:
    """Speak first, as RFB servers do."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "0.0.0.0", port)
    await server.serve_forever()


async def websockify(port: int) -> None:
    """The same behind a WebSocket."""
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.typing import Subprotocol

    async def echo(connection: ServerConnection) -> None:
        assert connection.request
        assert connection.request.path == "/websockify"
        await connection.send(GREETING)
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "0.0.0.0", port, subprotocols=[Subprotocol("binary")], max_size=1 << 24):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run({"rfb": rfb, "websockify": websockify}[sys.argv[1]](int(sys.argv[2])))
