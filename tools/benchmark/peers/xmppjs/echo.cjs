// An echo component in xmpp.js, as its documentation writes one.
"use strict";

const { component, xml } = require("@xmpp/component");

const xmpp = component({
  service: `xmpp://127.0.0.1:${process.argv[2]}`,
  domain: "echo.localhost",
  password: "secret",
});

xmpp.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
xmpp.on("offline", () => process.exit(0));
xmpp.on("stanza", (stanza) => {
  if (!stanza.is("message")) return;
  xmpp.send(
    xml(
      "message",
      { type: stanza.attrs.type, to: stanza.attrs.from, from: stanza.attrs.to, id: stanza.attrs.id },
      xml("body", {}, `echo ${stanza.getChildText("body")}`),
    ),
  );
});
xmpp.start().catch((error) => {
  console.error(error);
  process.exit(1);
});
