"""Tweets: posted, listed and found, by IQ or in chat."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

from app.tweet import LONGEST, Tweet

from actors import Component, before, rescue
from emp.errors import Forbidden, ItemNotFound, NotAcceptable
from emp.jid import JID


@rescue(LookupError, with_=ItemNotFound)
class Tweets(Component):
    """Everybody's tweets, as long as the actor lives."""

    key = "sender"

    def startup(self) -> None:
        self.tweets: dict[int, Tweet] = {}
        self.numbers = count(1)

    @before(only=("create", "post"))
    def is_short(self, text: str | None = None, tweet: Tweet | None = None) -> None:
        said = tweet.text if tweet is not None else text or ""
        if len(said) > LONGEST:
            self.fail(NotAcceptable, f"a tweet has {LONGEST} characters at most, not {len(said)}")

    # ── by IQ ──

    def index(self, author: JID | None, limit: int) -> list[Tweet]:
        """The newest, of one author or of everybody."""
        return self._newest(author, limit)

    def show(self, id: int) -> Tweet:
        return self.tweets[id]

    def create(self, sender: JID, tweet: Tweet) -> Tweet:
        return self._add(sender, tweet.text)

    def delete(self, sender: JID, id: int) -> None:
        if self.tweets[id].author != sender.bare:
            self.fail(Forbidden, "it is not yours")
        del self.tweets[id]

    # ── in chat ──

    def post(self, sender: JID, text: str) -> Any:
        """!tweet TEXT"""
        return self.render("posted", to=sender, tweet=self._add(sender, text))

    def read(self, author: str, to: JID) -> Iterator[str]:
        """A message to NAME@tweeter…: what NAME has tweeted, one by one."""
        host = to.domain.partition(".")[2]
        tweets = self._newest(JID(author, host), 10)
        if not tweets:
            yield f"{author} has not said anything yet"
        for tweet in tweets:
            yield f"#{tweet.id}: {tweet.text}"

    def help(self) -> str:
        return "!tweet TEXT posts; a message to NAME@tweeter… shows what NAME has tweeted"

    # ── inside ──

    def _add(self, author: JID, text: str) -> Tweet:
        id = next(self.numbers)
        tweet = Tweet(id=id, author=author.bare, posted=datetime.now(UTC), text=text)
        self.tweets[id] = tweet
        return tweet

    def _newest(self, author: JID | None, limit: int) -> list[Tweet]:
        found = [each for each in self.tweets.values() if author in (None, each.author)]
        return found[-limit:][::-1]
