//! How an answer is performed: what is sent when, and where it breaks off.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::answer::{Answer, At, How};
use super::exchange::{Exchange, Gone};
use super::pace::Tempo;
use super::record::{Outcome, Ticket};
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

/// What is sent, and in whose manner; `tempo` rules where the answer sets no pace.
#[derive(Clone, Copy)]
pub(super) struct Part<'p> {
    pub(super) answer: &'p Answer,
    pub(super) reply: &'p Reply,
    pub(super) tempo: Tempo,
}

/// Sends it, and lets the ticket know how far it came.
pub(super) async fn play(
    exchange: &mut Exchange<'_>,
    part: Part<'_>,
    ticket: &mut Ticket,
) -> Outcome {
    match perform(exchange, part, ticket).await {
        Ok(()) => Outcome::Answered,
        Err(Stop::ClientLeft) => Outcome::ClientLeft,
        Err(Stop::CutShort) => Outcome::CutShort,
    }
}

async fn perform(
    exchange: &mut Exchange<'_>,
    part: Part<'_>,
    ticket: &mut Ticket,
) -> Result<(), Stop> {
    let Part { answer, reply, .. } = part;
    if let Some(hold) = &answer.pace.hold {
        tokio::select! {
            () = hold.released() => {}
            () = exchange.gone() => return Err(Stop::ClientLeft),
        }
    }
    wait(exchange, answer.pace.delay + part.tempo.first_byte).await?;
    if answer.goaway {
        exchange.goaway();
    }
    for (status, headers) in &answer.extras.informational {
        exchange.informational(*status, headers).await?;
    }
    match &reply.body {
        Body::Raw(bytes) => {
            ticket.last_words();
            Ok(exchange.raw(bytes).await?)
        }
        Body::Whole(bytes) if answer.cut.is_none() && answer.extras.trailers.is_empty() => {
            ticket.head();
            ticket.last_words();
            Ok(exchange.send_whole(reply, bytes).await?)
        }
        Body::Whole(bytes) => pieces(exchange, part, std::slice::from_ref(bytes), ticket).await,
        Body::Events(events) => pieces(exchange, part, events, ticket).await,
        Body::WebSocketEcho => pieces(exchange, part, &[], ticket).await,
    }
}

async fn pieces(
    exchange: &mut Exchange<'_>,
    part: Part<'_>,
    pieces: &[Bytes],
    ticket: &mut Ticket,
) -> Result<(), Stop> {
    let answer = part.answer;
    let cut_at = |point: At| answer.cut.filter(|cut| cut.at == point);
    if let Some(cut) = cut_at(At::BeforeHead) {
        break_off(exchange, cut.how).await?;
    }
    ticket.head();
    exchange.send_head(part.reply).await?;
    if let Some(cut) = cut_at(At::AfterHead) {
        break_off(exchange, cut.how).await?;
    }

    let gap = answer.pace.between;
    let gap = gap.unwrap_or_else(|| part.tempo.gap(pieces.len()));
    let mut due = Instant::now();
    let mut sent = 0;
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 {
            due += gap;
            wait_until(exchange, due).await?;
        }
        if number + 1 == pieces.len() && answer.cut.is_none() {
            ticket.last_words();
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
    ticket.last_words();
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
    wait_until(exchange, Instant::now() + time).await
}

/// A moment that has passed is not waited for.
async fn wait_until(exchange: &mut Exchange<'_>, due: Instant) -> Result<(), Gone> {
    if due <= Instant::now() {
        return Ok(());
    }
    tokio::select! {
        () = tokio::time::sleep_until(due) => Ok(()),
        () = exchange.gone() => Err(Gone),
    }
}
