"""What does memgate cost per request, beside nginx, HAProxy and a bare Pingora proxy?"""
