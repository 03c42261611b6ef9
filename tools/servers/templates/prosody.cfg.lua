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

modules_enabled = {
	"saslauth"; "tls"; "roster"; "disco"; "ping"; "version"; "time"; "limits";
	"smacks"; "carbons"; "csi_simple"; "offline";
	"http_files"; "websocket"; ${also_modules}
}
-- The default of 10 kB/s would measure the brake instead of the service.
limits = { c2s = { rate = "100mb/s" } }
c2s_stanza_size_limit = 262144

-- XEP-0198: what is not acknowledged may be thousands of stanzas under load (default: 500).
smacks_hibernation_time = 60
smacks_max_queue_size = 10000
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
${components}
