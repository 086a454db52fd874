"""Does anybody notice when the gateway is reloaded, renewed, upgraded, and loses a replica?"""
