//! What becomes of an upstream's error answer? Delivered as it is, said in the caller's dialect, or tried again.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, header};
use parking_lot::Mutex;
use pingora_http::ResponseHeader;

use super::context::{RequestCtx, names};
use super::relay::{Decision, Judge};
use super::reply::JSON;
use crate::gateway::Snapshot;
use crate::upstream::edge_error::{self, EdgeError};
use crate::upstream::outcome::Outcome;
use crate::wire::{Dialect, ErrorKind, error_body};

/// What the judge found; the hooks read it after the attempt.
#[derive(Default)]
pub(crate) struct Verdict {
    pub outcome: Option<&'static str>,
    /// Another attempt is wanted, after this wait.
    pub again: Option<std::time::Duration>,
}
