"""Do real clients get their answers through memgate, from a real LiteLLM and from the simulated edge?"""
