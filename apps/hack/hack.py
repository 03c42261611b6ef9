"""Answers "Hackity Hack!" to whatever bar@localhost says."""

from actors import Component
from emp.routing import Routes


class Hackity(Component):
    def hack(self) -> str:
        return "Hackity Hack!"


routes = Routes()
with routes.resource("hack"):
    routes.message("[body]", from_="bar@localhost").to(Hackity.hack)
