"""The shared vocabulary: models, @contexts, code lists."""
