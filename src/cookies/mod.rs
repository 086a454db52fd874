//! Which cookies of an upstream are kept, and which of them go with a request?
//!
//! RFC 6265bis as far as a shared store of a few allow-listed names needs it. Values are never
//! printed: no type here shows one in its `Debug`.

mod date;
mod file;
mod jar;
mod jars;
mod set_cookie;

pub use file::{FileError, Loaded};
pub use jar::{Captured, CookieHeader, Jar, Listed, Site};
pub use jars::CookieJars;
