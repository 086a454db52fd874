"""What do many streaming clients get from an edge that lets few in: through memgate, and through others?"""
