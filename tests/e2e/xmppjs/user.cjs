// A user in xmpp.js, steered through its standard input and output: a line of JSON for each message.
"use strict";

const { createInterface } = require("node:readline");
const { client, xml } = require("@xmpp/client");

const [service, domain, username, password] = process.argv.slice(2);
const xmpp = client({ service, domain, username, password, resource: "xmppjs" });
const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

xmpp.on("error", (error) => tell({ error: String(error) }));
xmpp.on("stanza", (stanza) => {
  if (!stanza.is("message") || !stanza.getChild("body")) return;
  const { from, type } = stanza.attrs;
  tell({ from, type, body: stanza.getChildText("body") });
});
xmpp.on("online", async (address) => {
  await xmpp.send(xml("presence"));
  tell({ online: address.toString() });
});
createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { to, body } = JSON.parse(line);
    xmpp.send(xml("message", { to, type: "chat" }, xml("body", {}, body)));
  })
  .on("close", async () => {
    // A round trip first: what is not acknowledged, Prosody keeps for the account's next login.
    await xmpp.iqCaller.get(xml("ping", "urn:xmpp:ping"), domain).catch(() => {});
    await xmpp.stop().catch(() => {});
    process.exit(0);
  });
xmpp.start().catch((error) => {
  tell({ error: String(error) });
  process.exit(1);
});
