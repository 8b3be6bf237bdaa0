"""Context sources: registrations, who is told of them, and which of them a request concerns."""
