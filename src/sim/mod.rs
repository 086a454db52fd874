//! The edge simulator: Cloudflare, Supermemory and Anthropic over TLS, and LiteLLM over plain HTTP,
//! scripted and observed. It stands beside the gateway and imports nothing of it.

pub mod answer;
pub mod cloudflare;

mod anthropic;
mod command;
mod console;
mod control;
mod edge;
mod exchange;
mod h1;
mod h2;
mod head;
mod hosts;
mod io;
mod listener;
mod litellm;
mod openai;
mod pace;
mod play;
mod record;
mod reply;
mod script;
mod server;
mod supermemory;
mod tls;
mod turn;

pub use self::answer::{Answer, At, Cut, EarlyAnswer, How};
pub use self::anthropic::{Provider, TokenRule, Tokens};
pub use self::command::{SimArgs, run};
pub use self::console::Console;
pub use self::edge::{DirectHost, Edge, EdgeOptions};
pub use self::h2::H2Limits;
pub use self::head::Version;
pub use self::litellm::{LiteLlm, LiteLlmOptions, VirtualKey};
pub use self::pace::{Hold, Tempo};
pub use self::record::{
    Connections, Outcome, Point, Refused, Retention, SeenBody, SeenRequest, Stats, TimelineView,
};
pub use self::reply::Encoding;
pub use self::script::Rule;
pub use self::supermemory::Memory;
pub use self::tls::{Alpn, Ca};
pub use self::turn::Shape;
