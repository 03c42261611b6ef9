-- A private Prosody (0.12 or newer) for tests. tools/servers/recipes.py fills in the placeholders.
data_path = "${directory}/data"
plugin_paths = { "${directory}/plugins" }
log = { info = "${directory}/log" }

-- Loopback only, no other servers.
interfaces = { "${host}" }
c2s_ports = { ${client_port} }
c2s_direct_tls_ports = { ${direct_port} }
component_interfaces = { "${host}" }
component_ports = { ${component_port} }
http_ports = {}
https_interfaces = { "${host}" }
https_ports = { ${http_port} }
modules_disabled = { "s2s" }

-- PLAIN is refused without TLS.
authentication = "${authentication}"
password_hash = "${password_hash}"
disable_sasl_mechanisms = { ${disabled} }
c2s_require_encryption = true
allow_unencrypted_plain_auth = false
ssl = {
	key = "${key}";
	certificate = "${certificate}";
	protocol = "${protocol}";
}

-- What Debian's prosody.cfg.lua enables, without what is for people (invitations, the shell), and
-- what the tests need: offline is loaded by default, the last two lines are ours.
modules_enabled = {
	"disco"; "roster"; "saslauth"; "tls";
	"blocklist"; "bookmarks"; "carbons"; "limits"; "pep"; "private"; "smacks"; "vcard4"; "vcard_legacy";
	"csi_simple"; "ping"; "register"; "time"; "uptime"; "version";
	"http_files"; "websocket";
	${also_modules}
}
-- Debian's limits and Prosody's defaults (smacks_max_queue_size = 500, c2s_stanza_size_limit =
-- 262144, component_stanza_size_limit = 524288), or those for load.
${limits}
storage = { archive = "memory" }

-- WebSocket at the address that ejabberd has too, and XEP-0156 as a file.
http_default_host = "${domain}"
http_paths = { websocket = "/ws"; files = "/" }
http_files_dir = "${directory}/www"
mime_types_file = ""

-- HTTPS is refused to who asks for a name (SNI) that is no host's; see Plan.websocket.
${also}
VirtualHost "${domain}"
VirtualHost "${anonymous}"
	authentication = "anonymous"
Component "${conference}" "muc"
	modules_enabled = { ${room_modules} }
${components}
