"""Floor 2: the NGSI-LD query languages: text -> small AST -> what it means for an entity. Pure."""
