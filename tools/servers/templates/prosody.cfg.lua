-- A private Prosody (0.12 or newer) for tests. tools/servers/recipes.py fills in the placeholders.
data_path = "${directory}/data"
log = { info = "${directory}/log" }

-- Loopback only, no other servers, no HTTP.
interfaces = { "${host}" }
c2s_ports = { ${client_port} }
component_interfaces = { "${host}" }
component_ports = { ${component_port} }
modules_disabled = { "s2s" }

-- Passwords are kept in clear, so that every SCRAM hash is on offer. PLAIN is refused without TLS.
authentication = "internal_plain"
c2s_require_encryption = true
allow_unencrypted_plain_auth = false
ssl = {
	key = "${key}";
	certificate = "${certificate}";
	protocol = "tlsv1_2+";
}

modules_enabled = {
	"saslauth"; "tls"; "roster"; "disco"; "ping"; "version"; "time"; "smacks"; "carbons"; "limits";
}
-- The default of 10 kB/s would measure the brake instead of the service.
limits = { c2s = { rate = "100mb/s" } }
c2s_stanza_size_limit = 262144

VirtualHost "${domain}"
${components}
