"""The admin: Thespian's process that starts the named actors of a system and knows them.

Upstream's admin detaches itself from the process that started it and starts a logger process; when
the logger dies, so does the admin. This one does neither: it dies with the process that started it,
and writes what actors log through Thespian itself.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from typing import Any, Final

from setproctitle import setproctitle
from thespian.actors import ActorAddress
from thespian.system.messages.multiproc import EndpointConnected
from thespian.system.multiprocCommon import MultiProcAdmin
from thespian.system.transport import TransmitIntent

from actors.logs import configure_logging
from actors.systems.process import Processes
from actors.systems.transport import SealedEndpoint, SealedTransport

LOG_DEFINITIONS: Final = {"version": 1, "root": {"level": "WARNING"}}
"""What actors send to the admin: nothing below. EMP's own log does not go this way."""


class Admin(MultiProcAdmin):
    """The admin without a logger process."""

    def h_LogRecord(self, envelope: Any) -> bool:
        record = envelope.message
        logging.getLogger(record.name).handle(record)
        return True

    def _cleanupAdmin(self, finish_cleanup: Callable[[], None]) -> None:
        finish_cleanup()  # upstream ends the logger first


def run_admin(
    starter: ActorAddress,
    endpoint: SealedEndpoint,
    address: ActorAddress,
    capabilities: dict[str, object],
) -> None:
    """The admin's process: tells `starter` when it is ready, and returns when the system is shut
    down. Raises `OSError` when it cannot listen at `address`."""
    setproctitle("emp: admin")
    configure_logging("warning")
    transport = SealedTransport(endpoint)
    admin = Admin(transport, address, capabilities, LOG_DEFINITIONS, Processes())
    signal.signal(signal.SIGCHLD, admin.signalChildDied)
    # Sending only, as long as too much is queued, would lock up whoever creates actors meanwhile.
    transport.enableRXPauseFlowControl(False)
    admin.asLogger = transport.myAddress
    transport.scheduleTransmit(None, TransmitIntent(starter, EndpointConnected(0)))
    admin._activate()
    admin.run()
