//! How is a chat completion asked of a provider that speaks Anthropic's dialect, and its answer told back?

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::context::{Held, RequestCtx, names};
use super::detour::Detour;
use super::parcel::Parcel;
use super::relay::SharedFeed;
use super::reply::JSON;
use super::upstream_head::{ANTHROPIC_VERSION, remove_prefixed};
use crate::body::Envelope;
use crate::gateway::{Failure, Rejection, Snapshot};
use crate::routing::{DirectModel, Route};
use crate::translate::{
    Capabilities, ChunkStream, Model, Reply, Translated, Unsupported, rate_limit_header, request,
};

/// A larger body is not translated on a thread that serves others.
const AT_ONCE: usize = 256 * 1024;
pub(super) const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// A request at work in two dialects.
pub(super) struct Translation {
    pub betas: Vec<String>,
    pub reply: Reply,
    /// While a streamed answer passes.
    chunks: Option<ChunkStream>,
}

/// What is translated, and for which model.
pub(super) struct Asked {
    model: Arc<DirectModel>,
    /// The provider's name for it, and the client's.
    id: String,
    alias: String,
}

impl Asked {
    pub(super) fn new(route: &Route, model: &Arc<DirectModel>, envelope: &Envelope) -> Self {
        let alias = envelope.model.clone();
        Self {
            model: Arc::clone(model),
            id: route.model.clone().unwrap_or_else(|| alias.clone()),
            alias,
        }
    }

    /// What goes up in the place of the client's body.
    pub(super) async fn translate(
        self,
        ctx: &RequestCtx,
        mut parcel: Parcel,
        detour: Option<&Detour>,
    ) -> Result<((SharedFeed, Held), Translation), Rejection> {
        parcel.make_room().await?;
        let (snapshot, body) = (Arc::clone(&ctx.snapshot), parcel.plain().clone());
        let done = if body.len() <= AT_ONCE {
            self.run(&snapshot, &body)
        } else {
            tokio::task::spawn_blocking(move || self.run(&snapshot, &body))
                .await
                .map_err(|_panicked| Rejection::Upstream(Failure::Internal))?
        };
        let translated = done.map_err(Rejection::Parameter)?;
        let translation = Translation {
            betas: translated.betas,
            reply: translated.reply,
            chunks: None,
        };
        let held = parcel.translated(ctx, translated.body, detour).await?;
        Ok((held, translation))
    }

    fn run(&self, snapshot: &Snapshot, body: &[u8]) -> Result<Translated, Unsupported> {
        let choices = &snapshot.config.translation;
        let model = Model {
            id: &self.id,
            alias: &self.alias,
            capabilities: &Capabilities::of(&self.id, choices.traits_of(&self.id)),
            defaults: snapshot.defaults_of(&self.model),
            choices,
        };
        let translated = request(body, &model, seconds(snapshot.clock.wall()))?;
        if !translated.dropped.is_empty() {
            let (model, dropped) = (&*self.model.group, translated.dropped.join(", "));
            log::debug!(target: "memgate::translate", "{model:?} is asked without {dropped}");
        }
        Ok(translated)
    }
}

impl Translation {
    /// The head that belongs to the body; what the client said of its own dialect goes.
    pub(super) fn write(headers: &mut HeaderMap) {
        remove_prefixed(headers, &["openai-"]);
        headers.insert(names::ANTHROPIC_VERSION, ANTHROPIC_VERSION);
        headers.insert(header::CONTENT_TYPE, JSON);
    }

    /// An event stream begins.
    pub(super) fn begin(&mut self) {
        self.chunks = Some(ChunkStream::new(self.reply.clone()));
    }

    /// What the client is told for a piece of the stream; `None` while no event is whole.
    pub(super) fn tell(&mut self, piece: &[u8]) -> Option<Bytes> {
        let mut told = BytesMut::new();
        self.chunks.as_mut()?.push(piece, &mut told);
        (!told.is_empty()).then(|| told.freeze())
    }

    /// The last words of a stream that has ended, where any are missing.
    pub(super) fn end(&mut self) -> Option<Bytes> {
        let mut told = BytesMut::new();
        self.chunks.as_mut()?.end(&mut told);
        (!told.is_empty()).then(|| told.freeze())
    }

    /// The last event was told.
    pub(super) fn is_over(&self) -> bool {
        self.chunks.as_ref().is_some_and(ChunkStream::is_over)
    }
}

fn seconds(wall: SystemTime) -> u64 {
    wall.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Says what the provider says of its limits as OpenAI's clients read it.
pub(super) fn rename_limits(headers: &mut HeaderMap, now: SystemTime) {
    let renamed = |(name, value): (&HeaderName, &HeaderValue)| {
        let (theirs, value) = rate_limit_header(name.as_str(), value.to_str().ok()?, now)?;
        let value = HeaderValue::from_str(&value).ok()?;
        Some((name.clone(), HeaderName::from_static(theirs), value))
    };
    let found: Vec<_> = headers.iter().filter_map(renamed).collect();
    for (name, theirs, value) in found {
        headers.remove(name);
        headers.insert(theirs, value);
    }
}
