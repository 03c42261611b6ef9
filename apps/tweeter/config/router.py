"""Which stanza goes where. `emp routes apps/tweeter` shows it, and says why."""

from app.components.tweets import Tweets
from app.tweet import NAMESPACE

from emp.routing import Routes

routes = Routes(namespaces={"tw": NAMESPACE})

routes.iq_get("tw:tweet[@id]", id="tw:tweet/@id").to(Tweets.show)
routes.iq_get("tw:tweets", author="tw:tweets/@author", defaults={"limit": 20}).to(Tweets.index)
routes.iq_set("tw:tweet[@id]", id="tw:tweet/@id").to(Tweets.delete)
routes.iq_set("tw:tweet").to(Tweets.create)

routes.message(
    "[re:test(body, '^!tweet\\s+\\S')]", text="normalize-space(substring-after(body, '!tweet '))"
).to(Tweets.post)
routes.message("[body]", to="{author}@{host}").to(Tweets.read)
routes.fallback("/message[body]").to(Tweets.help)
