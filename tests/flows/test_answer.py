"""What is between a caller and the model at work."""

import asyncio
import socket
from typing import Any

from labelwise.flows.answer import _socket
from labelwise.flows.wake import Listen


def test_no_part_of_an_answer_waits_for_the_one_before() -> None:
    """Nagle's algorithm is off on what is accepted, or an answer in two parts takes as long as the caller waits with
    what it says back: 40 ms on Linux."""
    seen: list[int] = []

    class Answering(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            own = transport.get_extra_info("socket")
            seen.append(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    async def ask() -> None:
        listening = _socket(Listen("127.0.0.1", 0))
        server = await asyncio.get_running_loop().create_server(Answering, sock=listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        assert await reader.read() == b""
        writer.close()
        server.close()

    asyncio.run(ask())
    assert seen and seen[0]
