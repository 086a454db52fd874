//! `memgate check --resolve`: where would a model's requests go, and what is asked of it in translation?

use std::io::{self, Write};

use crate::config::{Config, Effort, ThinkingKind};
use crate::routing::{RouteTable, Way};
use crate::translate::Capabilities;

pub fn describe(config: &Config, model: &str, out: &mut impl Write) -> io::Result<()> {
    let description = RouteTable::new(&config.models).describe(model, config.direct.bypass);
    writeln!(out, "{description}")?;
    let translated = |way: &&Way| way.dialect == Some("anthropic");
    let mut told: Vec<&str> = Vec::new();
    for way in description.ways.iter().filter(translated) {
        if told.contains(&&*way.model) {
            continue;
        }
        told.push(&way.model);
        let traits = config.translation.traits_of(&way.model);
        let said = abilities(&Capabilities::of(&way.model, traits));
        writeln!(
            out,
            "  chat completions are translated for `{}`: {said}",
            way.model
        )?;
    }
    Ok(())
}

/// In the words of the `translation` section.
fn abilities(model: &Capabilities) -> String {
    let thinking = match model.thinking {
        ThinkingKind::None => "none",
        ThinkingKind::Budget => "budget",
        ThinkingKind::Adaptive => "adaptive",
        ThinkingKind::Always => "always",
    };
    let efforts: Vec<&str> = model
        .efforts
        .iter()
        .map(|effort| match effort {
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::XHigh => "xhigh",
            Effort::Max => "max",
        })
        .collect();
    let accepts = &model.accepts;
    let flags = [
        ("sampling", accepts.sampling),
        ("forced_tool_choice", accepts.forced_tool_choice),
        ("prefill", accepts.prefill),
        ("structured_outputs", accepts.structured_outputs),
        ("system_in_messages", accepts.system_in_messages),
    ];
    let flags = flags.map(|(name, taken)| format!("{name}: {taken}"));
    format!(
        "thinking: {thinking}, efforts: [{}], max_tokens: {}, {}",
        efforts.join(", "),
        model.max_tokens,
        flags.join(", ")
    )
}
