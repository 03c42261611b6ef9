"""tools/bench routes: what a table of many routes costs, of which only the last matches."""
