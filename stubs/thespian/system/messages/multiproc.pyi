from thespian.actors import ActorSystemMessage

class EndpointConnected(ActorSystemMessage):
    def __init__(self, childInstance: int) -> None: ...
