"""Black-box conformance suite, by clause, against any broker."""
