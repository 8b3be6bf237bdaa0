"""Floor 6: the HTTP binding (clause 6): routes, parameters, negotiation, problem details, paging."""
