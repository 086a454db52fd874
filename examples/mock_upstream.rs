//! What answers behind the proxies that `scripts/bench` compares? A provider that costs next to nothing.
//!
//! It reads the whole request, then answers by its URL: a message of 1 KB, or where `events=40` stands in its path or query a
//! message as a stream of so many events, each in a write of its own, without a pause or `every=5` milliseconds apart; `hold`
//! sends one event and keeps the stream open. With a file to write its CA to, it speaks TLS, as `localhost`.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use memgate::sim::{Alpn, Ca};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

/// How a stream begins, and how it ends; between them are deltas.
const FIRST: [&[u8]; 2] = [
    b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n",
    b"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
];
const DELTA: &[u8] = b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a few words of an answer \"}}\n\n";
const LAST: [&[u8]; 3] = [
    b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    b"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}\n\n",
    b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
];

enum Pace {
    AtOnce { yielded: bool },
    Every(Interval),
    OnceThenHold { sent: bool },
}

struct Events {
    sent: usize,
    left: usize,
    pace: Pace,
}

impl Events {
    fn next(&mut self) -> &'static [u8] {
        self.left -= 1;
        self.sent += 1;
        let first = FIRST.get(self.sent - 1);
        first
            .or_else(|| LAST.get(self.left))
            .copied()
            .unwrap_or(DELTA)
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let due = match &mut self.pace {
            Pace::AtOnce { yielded } => {
                *yielded = !*yielded;
                if *yielded {
                    cx.waker().wake_by_ref();
                }
                !*yielded
            }
            Pace::Every(interval) => interval.poll_tick(cx).is_ready(),
            Pace::OnceThenHold { sent } => !std::mem::replace(sent, true),
        };
        if !due {
            return Poll::Pending;
        }
        let event = Bytes::from_static(self.next());
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let url = request.uri().to_string();
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    let (kind, body) = match events(&url) {
        Some(events) => ("text/event-stream", events.boxed()),
        None => ("application/json", Full::new(message()).boxed()),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(
        "content-type",
        hyper::header::HeaderValue::from_static(kind),
    );
    Ok(response)
}

fn events(url: &str) -> Option<Events> {
    let value = |name: &str| {
        url.split(['/', '?', '&'])
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
            .and_then(|value| value.parse::<u32>().ok())
    };
    let (left, pace) = if url.contains("hold") {
        (2, Pace::OnceThenHold { sent: false })
    } else {
        let pace = match value("every") {
            Some(milliseconds) => {
                let mut ticks = interval(Duration::from_millis(milliseconds.into()));
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                Pace::Every(ticks)
            }
            None => Pace::AtOnce { yielded: false },
        };
        (value("events")?, pace)
    };
    Some(Events {
        sent: 0,
        left: usize::try_from(left).ok()?,
        pace,
    })
}

fn message() -> Bytes {
    let text = "lorem ipsum ".repeat(64);
    Bytes::from(format!(
        r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":9,"output_tokens":9}}}}"#
    ))
}

/// Answers on one connection until it ends.
async fn serve(socket: impl AsyncRead + AsyncWrite + Unpin) {
    let served = http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer));
    // Whoever leaves in the middle is no concern of a benchmark's.
    served.await.ok();
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (address, ca_file) = match arguments.as_slice() {
        [address] => (address, None),
        [address, ca_file] => (address, Some(ca_file)),
        _ => return Err("usage: mock_upstream LISTEN [CA_FILE]".into()),
    };
    let tls = match ca_file {
        Some(file) => {
            let ca = Ca::generate()?;
            let config = ca.server_config(&["localhost".to_owned()], Alpn::H1)?;
            ca.write(file)?;
            Some(TlsAcceptor::from(config))
        }
        None => None,
    };
    let listener = TcpListener::bind(address).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let tls = tls.clone();
        tokio::spawn(async move {
            match tls {
                Some(tls) => match tls.accept(socket).await {
                    Ok(socket) => serve(socket).await,
                    Err(error) => log::warn!("no TLS with a client: {error}"),
                },
                None => serve(socket).await,
            }
        });
    }
}
