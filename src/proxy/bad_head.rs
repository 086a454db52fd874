//! What is said to a client whose head cannot be read? The dialect's error, as far as the head shows a dialect.

use http::header;
use pingora_core::protocols::http::ServerSession;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;

use super::context::names;
use super::reply::JSON;
use crate::gateway::{Answer, Gateway, Rejection};
use crate::telemetry::{
    self, AccessRecord, Asked, Person, RequestId, RouteLabel, Spent, Upstreamed,
};
use crate::wire::{Dialect, error_body};

/// Answers what Pingora could not parse, and ends the connection: nobody knows where a next request would begin.
pub async fn refuse(session: &mut ServerSession, error: &Error, gateway: &Gateway) {
    if *error.etype() != ErrorType::InvalidHTTPHeader {
        // The client left, or its connection broke.
        return;
    }
    let rejection = if is_too_large(error) {
        Rejection::HeadTooLarge
    } else {
        Rejection::Head("the request is not valid HTTP/1.1")
    };
    let dialect = Dialect::of_path(&path_in(session, error));
    let (answer, id) = (rejection.answer(dialect), RequestId::new(None));
    if let Err(error) = write(session, &answer, dialect, &id).await {
        log::debug!(target: "memgate::proxy", "the client was not told: {}", error.etype().as_str());
    }
    session.shutdown().await;
    record(gateway, &answer, dialect, &id);
}

fn is_too_large(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<httparse::Error>();
    cause.is_some_and(|cause| *cause == httparse::Error::TooManyHeaders)
        || context(error).starts_with("Request header larger than")
}

/// The request's path where a head was parsed and found unsound, else what stands in a path's place.
fn path_in(session: &ServerSession, error: &Error) -> String {
    let summary = session.request_summary();
    let (line, place) = match summary.starts_with("- ") {
        // Pingora quotes what it read: `buf: POST /v1/messages …`.
        true => (context(error), 2),
        false => (summary.as_str(), 1),
    };
    let target = line.split(' ').nth(place).unwrap_or_default();
    let path = target.split(['?', ',']).next().unwrap_or_default();
    path.to_owned()
}

fn context(error: &Error) -> &str {
    error
        .context
        .as_ref()
        .map_or("", |context| context.as_str())
}

async fn write(
    session: &mut ServerSession,
    answer: &Answer,
    dialect: Dialect,
    id: &RequestId,
) -> Result<()> {
    let body = error_body(dialect, &answer.said(), id.as_str());
    let mut head = ResponseHeader::build(answer.status, Some(6))?;
    head.insert_header(header::CONTENT_TYPE, JSON)?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(names::REQUEST_ID, id.header())?;
    head.insert_header(names::ROUTE, "local")?;
    session.set_keepalive(None);
    session.write_response_header(Box::new(head)).await?;
    session.write_response_body(body, true).await
}

/// One line and one count, as for every request; what could not be parsed is not quoted.
fn record(gateway: &Gateway, answer: &Answer, dialect: Dialect, id: &RequestId) {
    let snapshot = gateway.snapshot();
    let record = AccessRecord {
        time: snapshot.clock.wall(),
        id: id.as_str(),
        trace: None,
        asked: Asked {
            method: "-",
            path: "-",
            protocol: "HTTP/1.1",
            dialect: dialect.as_str(),
            model: None,
            stream: false,
        },
        person: Person::default(),
        answer: telemetry::Answer {
            route: RouteLabel::Local,
            status: answer.status,
            outcome: "refused",
            reason: Some(answer.code),
            body: None,
        },
        upstream: Upstreamed::default(),
        spent: Spent::default(),
    };
    snapshot.finish(&record);
}
