//! What answers behind the proxies that `scripts/bench` compares? A provider that costs next to nothing.
//!
//! It reads the whole request, then answers by the query: a message of 1 KB, or with `?events=40` a stream, each event in a
//! write of its own, without a pause or `&every=5` milliseconds apart; `?hold` sends one event and keeps the stream open.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::time::{Interval, MissedTickBehavior, interval};

const EVENT: &[u8] = b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a few words of an answer \"}}\n\n";

enum Pace {
    AtOnce { yielded: bool },
    Every(Interval),
    OnceThenHold { sent: bool },
}

struct Events {
    left: u32,
    pace: Pace,
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
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(EVENT)))))
    }
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    let (kind, body) = match events(&query) {
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

fn events(query: &str) -> Option<Events> {
    let value = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .and_then(|value| value.parse::<u32>().ok())
    };
    if query.contains("hold") {
        let pace = Pace::OnceThenHold { sent: false };
        return Some(Events { left: 2, pace });
    }
    let pace = match value("every") {
        Some(milliseconds) => {
            let mut ticks = interval(Duration::from_millis(milliseconds.into()));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Pace::Every(ticks)
        }
        None => Pace::AtOnce { yielded: false },
    };
    let left = value("events")?;
    Some(Events { left, pace })
}

fn message() -> Bytes {
    let text = "lorem ipsum ".repeat(64);
    Bytes::from(format!(
        r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":9,"output_tokens":9}}}}"#
    ))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args()
        .nth(1)
        .ok_or("usage: mock_upstream LISTEN")?;
    let listener = TcpListener::bind(address).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service_fn(answer)),
        );
    }
}
