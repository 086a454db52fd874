//! A gateway in this process, in front of a simulated world, and the ways to call it.
