//! The command line: `run`, `check`, `demo`, `sim`.
