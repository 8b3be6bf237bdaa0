"""Code lists. local_governments.json is code4fukui/localgovjp (CC0 1.0) brought to {code: [prefecture, name]}, poi.json the POI
codes of GIF 491-3-1 (CC0 1.0) as {code: [group, name]}; the YAML files are written by hand."""
