// client.mjs PORT DOMAIN USERNAME PASSWORD: logs in, says on standard output what happens, one JSON
// object a line, and does what standard input says: "drop" cuts the connection, "again" ends the
// session and begins a new one, "stop" ends the program.
import { createInterface } from "node:readline";

import { client } from "@xmpp/client";

const [port, domain, username, password] = process.argv.slice(2);
const tell = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));

const xmpp = client({
  service: `xmpp://127.0.0.1:${port}`,
  domain,
  username,
  password,
  resource: "peer",
});
xmpp.reconnect.delay = 1;

let mechanism;
xmpp.on("send", (element) => {
  if (element.name === "authenticate" || element.name === "auth") {
    mechanism = element.attrs.mechanism;
  }
});
xmpp.on("error", (error) => tell("error", { text: String(error) }));
xmpp.on("offline", () => tell("offline"));
xmpp.on("online", (jid) => tell("online", { jid: String(jid), mechanism }));
xmpp.streamManagement.on("resumed", () =>
  tell("resumed", { jid: String(xmpp.jid), mechanism }),
);
xmpp.on("stanza", (stanza) => {
  if (stanza.is("message")) {
    tell("message", { body: stanza.getChildText("body") });
  }
});

let token;
xmpp.fast.saveToken = async (value) => {
  token = value;
  tell("token", { mechanism: value.mechanism, sm: xmpp.streamManagement.enabled });
};
xmpp.fast.fetchToken = async () => token;
xmpp.fast.deleteToken = async () => {
  token = undefined;
};

const commands = {
  drop: () => xmpp.socket.socket.destroy(),
  again: async () => {
    await xmpp.stop();
    await xmpp.start();
  },
  stop: async () => {
    await xmpp.stop();
    process.exit(0);
  },
};
createInterface({ input: process.stdin }).on("line", (line) => commands[line]());
await xmpp.start();
