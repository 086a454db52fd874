//! What becomes of an upstream's error answer? Delivered as it is, said in the caller's dialect, or tried again.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use parking_lot::Mutex;
use pingora_http::ResponseHeader;

use super::context::{RequestCtx, names};
use super::relay::{Decision, Judge};
use crate::gateway::Snapshot;
use crate::upstream::edge_error::{self, EdgeError};
use crate::upstream::outcome::Outcome;
use crate::wire::{Dialect, ErrorKind, error_body};
