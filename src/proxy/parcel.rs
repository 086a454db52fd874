//! What goes up of a request's body? The bytes that came, but for the model's name.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use pingora_proxy::Session;

use super::body;
use super::context::{BodyMode, Held, RequestCtx};
use super::detour::{Detour, Original};
use super::relay::{Feed, Patience, SharedFeed};
use crate::body::{DecodeBounds, Encoding, Envelope, Share, decode};
use crate::gateway::{Failure, Rejection};

/// How much larger than its compressed form a body may become.
const MAX_RATIO: usize = 200;

/// A body as it came, and decompressed where it came compressed.
pub(super) struct Parcel {
    sent: Bytes,
    plain: Option<Bytes>,
    share: Share,
}

impl Parcel {
    pub(super) async fn open(
        session: &Session,
        sent: Bytes,
        share: Share,
        limit: usize,
    ) -> Result<Self, Rejection> {
        let mut parcel = Self {
            sent,
            plain: None,
            share,
        };
        let encoding = Encoding::of(&session.req_header().headers).map_err(Rejection::Encoding)?;
        if encoding == Encoding::Identity {
            return Ok(parcel);
        }
        let packed = parcel.sent.clone();
        let bounds = DecodeBounds {
            max_bytes: limit.min(parcel.share.spare()),
            max_ratio: MAX_RATIO,
        };
        // Before it is unpacked: a few bytes can become many.
        parcel
            .share
            .grow(bounds.most(packed.len()), body::PATIENCE)
            .await
            .map_err(|_full| Rejection::BodiesFull)?;
        // Up to some tenths of a second of work: not on a thread that serves others.
        let unpacking = tokio::task::spawn_blocking(move || decode(encoding, &packed, bounds));
        let unpacked = unpacking
            .await
            .map_err(|_panicked| Rejection::Upstream(Failure::Internal))?;
        let plain = unpacked.map_err(Rejection::Encoding)?;
        parcel.share.shrink_to(parcel.sent.len() + plain.len());
        parcel.plain = Some(plain);
        Ok(parcel)
    }

    pub(super) fn plain(&self) -> &Bytes {
        self.plain.as_ref().unwrap_or(&self.sent)
    }

    /// Room for another body of about this one's size.
    pub(super) async fn make_room(&mut self) -> Result<(), Rejection> {
        let more = self.plain().len();
        let grown = self.share.grow(more, body::PATIENCE).await;
        grown.map_err(|_full| Rejection::BodiesFull)
    }

    /// Room for the body of the other way beside the one that is renamed; without any there is no other way.
    pub(super) async fn make_room_for(&mut self, detour: &mut Option<Detour>) {
        let Some(Detour::LiteLlm(original)) = detour else {
            return;
        };
        let grown = self.share.grow(original.bytes.len(), Duration::ZERO).await;
        if grown.is_err() {
            *detour = None;
        }
    }

    /// What goes up in the place of what came. It may be much larger: text in base64 is shorter than the
    /// same text with JSON's escapes.
    pub(super) async fn translated(
        mut self,
        ctx: &RequestCtx,
        body: Bytes,
        original: Option<&Detour>,
    ) -> Result<(SharedFeed, Held), Rejection> {
        let length = body.len();
        let limit = ctx.snapshot.config.limits.body;
        if length > limit {
            return Err(Rejection::TranslationTooLarge { limit });
        }
        let kept = match original {
            Some(Detour::LiteLlm(original)) => original.bytes.len(),
            _ => 0,
        };
        let more = (length + kept).saturating_sub(self.share.bytes());
        if more > 0 {
            let grown = self.share.grow(more, body::PATIENCE).await;
            grown.map_err(|_full| Rejection::BodiesFull)?;
        }
        self.share.shrink_to(length + kept);
        let feed = feed(ctx, Some((body, self.share)));
        let mode = BodyMode::Translated;
        Ok((feed, Held { length, mode }))
    }

    /// What LiteLLM would be sent, which has the model under its public name.
    pub(super) fn original(&self, envelope: &Envelope, public: &Arc<str>) -> Original {
        if **public == *envelope.model {
            return Original {
                bytes: self.sent.clone(),
                mode: BodyMode::Identical,
                rename: None,
            };
        }
        let (bytes, mode) = match &self.plain {
            Some(plain) => (plain.clone(), BodyMode::Decoded),
            None => (self.sent.clone(), BodyMode::Spliced),
        };
        Original {
            bytes,
            mode,
            rename: Some((envelope.clone(), Arc::clone(public))),
        }
    }

    /// What goes up where nothing of it is to change.
    pub(super) fn hold_as_it_came(mut self, ctx: &RequestCtx) -> (SharedFeed, Held) {
        self.share.shrink_to(self.sent.len());
        as_it_came(ctx, self.sent, self.share)
    }

    /// What goes up: the bytes that came, but for the model's name.
    pub(super) fn hold(
        self,
        ctx: &RequestCtx,
        envelope: &Envelope,
        rename: Option<&str>,
    ) -> (SharedFeed, Held) {
        let rename = rename.filter(|name| *name != envelope.model);
        let (bytes, mode) = match (rename, self.plain) {
            (None, _) => (self.sent, BodyMode::Identical),
            (Some(name), None) => (envelope.splice(&self.sent, name), BodyMode::Spliced),
            (Some(name), Some(plain)) => (envelope.splice(&plain, name), BodyMode::Decoded),
        };
        let length = bytes.len();
        let feed = feed(ctx, Some((bytes, self.share)));
        (feed, Held { length, mode })
    }
}

/// A body that nobody looks into.
pub(super) fn as_it_came(ctx: &RequestCtx, sent: Bytes, share: Share) -> (SharedFeed, Held) {
    let held = Held {
        length: sent.len(),
        mode: BodyMode::Identical,
    };
    (feed(ctx, Some((sent, share))), held)
}

/// What the relay goes by, for a held body or one that streams through. Its deadlines are the machine's, as its
/// timers are, whatever clock the policies have.
pub(super) fn feed(ctx: &RequestCtx, held: Option<(Bytes, Share)>) -> SharedFeed {
    let patience = Patience::of(&ctx.snapshot.config.limits);
    let feed = Feed::new(held, patience, Instant::now());
    Arc::new(Mutex::new(feed))
}
