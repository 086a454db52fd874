"""Does a client notice that two instances behind HAProxy serve it?"""
