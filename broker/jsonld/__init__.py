"""Floor 1: JSON-LD @contexts, compiled once into flat tables term -> IRI and IRI -> term. Pure."""
