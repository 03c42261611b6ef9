"""tools/bench blocking: what an echo has to suffer from actions that sleep."""
