"""tools/bench: EMP and other XMPP libraries under the same load, side by side in one run."""
