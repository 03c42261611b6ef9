from typing import Any

set_signal_handler: Any

def startChild(*args: Any) -> None: ...

class MultiProcAdmin:
    transport: Any
    asLogger: Any
    logdefs: Any
    def __init__(
        self,
        transport: Any,
        address: Any,
        capabilities: Any,
        logdefs: Any,
        concurrency_context: Any,
    ) -> None: ...
    def __getattr__(self, name: str) -> Any: ...
    def run(self) -> None: ...
