//! How a scripted answer is performed: what is sent when, and where it breaks off.

use std::time::Duration;

use bytes::Bytes;

use super::answer::{Answer, At, How};
use super::exchange::{Exchange, Gone};
use super::record::Outcome;
use super::reply::{Body, Reply};

enum Stop {
    ClientLeft,
    CutShort,
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::ClientLeft
    }
}

/// Sends `reply` in the manner of `answer`; `between` is the pace of events where the answer sets none.
pub(super) async fn play(
    exchange: &mut Exchange<'_>,
    answer: &Answer,
    reply: &Reply,
    between: Duration,
) -> Outcome {
    let between = answer.pace.between.unwrap_or(between);
    match perform(exchange, answer, reply, between).await {
        Ok(()) => Outcome::Answered,
        Err(Stop::ClientLeft) => Outcome::ClientLeft,
        Err(Stop::CutShort) => Outcome::CutShort,
    }
}

async fn perform(
    exchange: &mut Exchange<'_>,
    answer: &Answer,
    reply: &Reply,
    between: Duration,
) -> Result<(), Stop> {
    wait(exchange, answer.pace.delay).await?;
    if answer.goaway {
        exchange.goaway();
    }
    for (status, headers) in &answer.extras.informational {
        exchange.informational(*status, headers).await?;
    }
    let trailers = &answer.extras.trailers;
    match &reply.body {
        Body::Raw(bytes) => Ok(exchange.raw(bytes).await?),
        Body::Whole(bytes) if answer.cut.is_none() && trailers.is_empty() => {
            Ok(exchange.send_whole(reply, bytes).await?)
        }
        Body::Whole(bytes) => {
            pieces(
                exchange,
                answer,
                reply,
                std::slice::from_ref(bytes),
                between,
            )
            .await
        }
        Body::Events(events) => pieces(exchange, answer, reply, events, between).await,
        Body::WebSocketEcho => pieces(exchange, answer, reply, &[], between).await,
    }
}

async fn pieces(
    exchange: &mut Exchange<'_>,
    answer: &Answer,
    reply: &Reply,
    pieces: &[Bytes],
    between: Duration,
) -> Result<(), Stop> {
    let cut_at = |point: At| answer.cut.filter(|cut| cut.at == point);
    if let Some(cut) = cut_at(At::BeforeHead) {
        break_off(exchange, cut.how).await?;
    }
    exchange.send_head(reply).await?;
    if let Some(cut) = cut_at(At::AfterHead) {
        break_off(exchange, cut.how).await?;
    }

    let mut sent = 0;
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 {
            wait(exchange, between).await?;
        }
        let mut rest = piece.clone();
        if let Some((cut, bytes)) = answer.cut.and_then(|cut| match cut.at {
            At::AfterBytes(k) if (sent..sent + piece.len()).contains(&k) => Some((cut, k - sent)),
            _ => None,
        }) {
            exchange.send(rest.split_to(bytes)).await?;
            break_off(exchange, cut.how).await?;
        }
        exchange.send(rest).await?;
        sent += piece.len();
        if let Some(cut) = cut_at(At::AfterEvents(number + 1)) {
            break_off(exchange, cut.how).await?;
        }
    }
    Ok(exchange.finish(&answer.extras.trailers).await?)
}

/// Returns only where the answer goes on afterwards.
async fn break_off(exchange: &mut Exchange<'_>, how: How) -> Result<(), Stop> {
    match how {
        How::Pause(milliseconds) => {
            return Ok(wait(exchange, Duration::from_millis(milliseconds)).await?);
        }
        How::Stall => {
            exchange.gone().await;
            return Err(Stop::ClientLeft);
        }
        How::Abort => exchange.abort().await,
        How::Reset(code) => exchange.reset(code).await,
        How::Truncate => exchange.close().await,
        How::GoAway(code) => exchange.abrupt_goaway(code).await,
        How::Disown => exchange.disown().await,
    }
    exchange.last_on_connection();
    Err(Stop::CutShort)
}

/// Lets time pass unless the client leaves first.
async fn wait(exchange: &mut Exchange<'_>, time: Duration) -> Result<(), Gone> {
    if time.is_zero() {
        return Ok(());
    }
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        () = exchange.gone() => Err(Gone),
    }
}
