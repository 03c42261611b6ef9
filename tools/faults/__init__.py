"""Networks that fail on purpose: for the tests and for the soak."""

from tools.faults.plan import Direction, Fault, Plan
from tools.faults.proxy import Lane, Proxy

__all__ = ["Direction", "Fault", "Lane", "Plan", "Proxy"]
