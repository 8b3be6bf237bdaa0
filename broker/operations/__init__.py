"""Floor 5: what each NGSI-LD operation means (clauses 5.6 to 5.16), one module a group. No HTTP here."""
