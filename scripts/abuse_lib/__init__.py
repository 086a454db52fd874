"""Which bad clients, and bad upstreams, does memgate survive, and what does each cost?"""
