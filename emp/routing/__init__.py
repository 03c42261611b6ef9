"""Which stanza goes to which action: the routes file and the table that it becomes."""

from emp.routing.compiler import compile_routes
from emp.routing.routes import Routes
from emp.routing.table import Match, Route, RouteTable

__all__ = ["Match", "Route", "RouteTable", "Routes", "compile_routes"]
