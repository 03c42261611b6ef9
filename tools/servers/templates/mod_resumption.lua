-- Mends resumption (XEP-0198) in Prosody 0.12 and 13.0.
--
-- What a client sends after a resumption is given to the parser of its first connection. Where that
-- was cut in the middle of a stanza, the parser takes all that follows for children of that stanza:
-- nothing is handled or acknowledged any more, until "XML stanza is too big". The session must take
-- over the door to the new parser together with the new connection.

module:hook("smacks-hibernation-end", function (event)
	event.resumed.data = event.origin.data;
end);
