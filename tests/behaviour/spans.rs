//! Spans at a collector: what it is told of a request, and that no request cares whether it listens.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use memgate::sim::{Edge, EdgeOptions};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::harness::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Takes what is posted: the head in lower case, and the body.
pub struct Collector {
    pub address: SocketAddr,
    posts: mpsc::UnboundedReceiver<(String, ExportTraceServiceRequest)>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (posted, posts) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let posted = posted.clone();
                tokio::spawn(async move { take(client, &posted).await });
            }
        });
        Self { address, posts }
    }

    fn settings(&self, sample: &str) -> String {
        let Self { address, .. } = self;
        format!(
            "traces: {{otlp: 'http://{address}', sample: {sample}, headers: {{authorization: Bearer-of-spans}}}}"
        )
    }

    /// The bodies of all posts so far.
    pub fn told(&mut self) -> Vec<ExportTraceServiceRequest> {
        std::iter::from_fn(|| self.posts.try_recv().ok())
            .map(|(_, body)| body)
            .collect()
    }

    /// The next post, and the spans in it.
    async fn post(&mut self) -> (String, Vec<Span>) {
        let (head, body) = soon(self.posts.recv()).await.unwrap();
        let scopes = body.resource_spans.into_iter();
        let scopes = scopes.flat_map(|resource| resource.scope_spans);
        (head, scopes.flat_map(|scope| scope.spans).collect())
    }
}

async fn take(
    client: TcpStream,
    posted: &mpsc::UnboundedSender<(String, ExportTraceServiceRequest)>,
) -> Option<()> {
    let mut client = BufReader::new(client);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            (client.read_line(&mut head).await.ok()? > 0).then_some(())?;
        }
        let head = head.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))?;
        let mut body = vec![0; length.parse().ok()?];
        client.read_exact(&mut body).await.ok()?;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        client.write_all(answer).await.ok()?;
        let spans = ExportTraceServiceRequest::decode(body.as_slice()).ok()?;
        posted.send((head, spans)).ok()?;
    }
}

fn told<'s>(span: &'s Span, name: &str) -> Option<&'s Value> {
    let found = span.attributes.iter().find(|told| told.key == name)?;
    found.value.as_ref()?.value.as_ref()
}

fn assert_attributes(span: &Span) {
    let text = |text: &str| Value::StringValue(text.to_owned());
    for (name, value) in [
        ("gen_ai.operation.name", text("chat")),
        ("gen_ai.provider.name", text("anthropic")),
        ("gen_ai.request.model", text(MODEL)),
        ("gen_ai.request.stream", Value::BoolValue(true)),
        ("memgate.route", text("direct")),
        ("memgate.request_id", text("spanned")),
        ("http.response.status_code", Value::IntValue(200)),
        ("user.id", text("team")),
    ] {
        assert_eq!(told(span, name), Some(&value), "{name} in {span:#?}");
    }
    for tokens in ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"] {
        let count = told(span, tokens).unwrap();
        assert!(matches!(count, Value::IntValue(1..)), "{tokens}: {count:?}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sampled_turn_becomes_one_span_below_its_callers() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let mut collector = Collector::start().await;
    let gateway = TestGateway::in_front_of(&edge)
        .own(&collector.settings("0%"))
        .start()
        .await;

    for parent in [PARENT, &PARENT.replace("-01", "-00")] {
        let request = gateway.post("/v1/messages").header("traceparent", parent);
        let request = request
            .header("x-request-id", "spanned")
            .body(streamed(MODEL, "the secret prompt"));
        soon(request.send()).await.unwrap().text().await.unwrap();
    }
    let request = gateway.post("/v1/messages").body(turn("x").to_string());
    request.send().await.unwrap().text().await.unwrap();
    let seen = edge.requests();
    let mut passed = seen
        .iter()
        .filter_map(|request| request.header("traceparent"));
    let passed = passed
        .find(|parent| parent.contains(TRACE) && parent.ends_with("-01"))
        .unwrap();
    gateway.stop();
    let (head, spans) = collector.post().await;

    assert!(
        head.starts_with("post /v1/traces ") && head.contains("authorization: bearer-of-spans"),
        "{head}"
    );
    assert_eq!(
        spans.len(),
        1,
        "neither the unsampled nor the one that began here: {spans:#?}"
    );
    let span = &spans[0];
    assert_eq!(span.name, format!("chat {MODEL}"));
    assert_eq!(
        (hex(&span.trace_id), hex(&span.parent_span_id)),
        (TRACE.to_owned(), "00f067aa0ba902b7".to_owned())
    );
    assert_eq!(
        hex(&span.span_id),
        passed[36..52],
        "the span that the upstream was told"
    );
    assert_attributes(span);
    let whole = format!("{span:?}");
    assert!(
        !whole.contains("secret prompt") && !whole.contains(MASTER),
        "{whole}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_traces_that_begin_here_those_marked_as_sampled_are_sent_and_no_others() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let mut collector = Collector::start().await;
    let gateway = TestGateway::in_front_of(&edge)
        .own(&collector.settings("50%"))
        .start()
        .await;

    for _ in 0..40 {
        assert_eq!(gateway.message("x").await.status(), 200);
    }
    let seen = edge.requests();
    let seen = seen
        .iter()
        .filter_map(|request| request.header("traceparent"));
    let (marked, unmarked): (BTreeSet<_>, BTreeSet<_>) =
        seen.partition(|parent| parent.ends_with("-03"));
    gateway.stop();
    let mut sent = BTreeSet::new();
    while sent.len() < marked.len() {
        let (_, spans) = collector.post().await;
        sent.extend(spans.iter().map(|span| hex(&span.trace_id)));
    }

    let marked: BTreeSet<_> = marked
        .iter()
        .map(|parent| parent[3..35].to_owned())
        .collect();
    assert_eq!(sent, marked);
    assert!(!marked.is_empty() && !unmarked.is_empty(), "{marked:?}");
    assert!(
        unmarked.iter().all(|parent| parent.ends_with("-02")),
        "{unmarked:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_spans_and_no_answer() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let traces = format!(
        "traces: {{otlp: 'http://{}', sample: 100%}}",
        nobody.local_addr().unwrap()
    );
    drop(nobody);
    let gateway = TestGateway::in_front_of(&edge).own(&traces).start().await;

    for _ in 0..3 {
        assert_eq!(gateway.message("x").await.status(), 200);
    }

    gateway.counts("spans_lost_total", &[], 3.0).await;
    assert_eq!(gateway.metric("spans_exported_total", &[]).await, 0.0);
}
