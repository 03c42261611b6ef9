"""An echo component in slixmpp, as its documentation writes one."""

import asyncio
import sys

from slixmpp.componentxmpp import ComponentXMPP


class Echo(ComponentXMPP):
    """Answers every message."""

    def __init__(self, port: int) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            "echo.localhost", "secret", "127.0.0.1", port
        )
        self.add_event_handler("message", self.message)

    def message(self, message):  # type: ignore[no-untyped-def]
        message.reply("echo " + message["body"]).send()


async def main() -> None:
    echo = Echo(int(sys.argv[1]))
    echo.connect()
    await echo.disconnected


asyncio.run(main())
