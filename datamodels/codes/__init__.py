"""Code lists: local_governments.json is code4fukui/localgovjp (CC0 1.0) brought to {code: [prefecture, name]}."""
