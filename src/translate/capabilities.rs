//! What does a model accept that others refuse?

use crate::config::{CapabilityOverrides, EffortLevels, ThinkingKind};

/// One model's abilities: by its id, and as the operator corrected them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    pub thinking: ThinkingKind,
    pub effort: EffortLevels,
    /// `max_tokens` where nobody says one.
    pub max_output: u32,
    pub accepts: Accepts,
}

/// What a model takes without a 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepts {
    /// `temperature`, `top_p`, `top_k`.
    pub sampling: bool,
    /// A `tool_choice` of `any` or of one tool.
    pub forced_tool_choice: bool,
    /// A conversation that ends with an assistant turn.
    pub prefill: bool,
    /// `output_config.format`, and `strict` tools.
    pub structured_output: bool,
    /// `role: system` among the messages.
    pub system_in_place: bool,
}

/// The models that behave alike, by the beginnings of their ids.
struct Generation {
    prefixes: &'static [&'static str],
    capabilities: Capabilities,
}

const LEGACY: Accepts = Accepts {
    sampling: true,
    forced_tool_choice: true,
    prefill: true,
    structured_output: false,
    system_in_place: false,
};

const MODERN: Accepts = Accepts {
    sampling: false,
    forced_tool_choice: true,
    prefill: false,
    structured_output: true,
    system_in_place: true,
};

const fn able(
    thinking: ThinkingKind,
    effort: EffortLevels,
    max_output: u32,
    accepts: Accepts,
) -> Capabilities {
    Capabilities {
        thinking,
        effort,
        max_output,
        accepts,
    }
}

/// The longest prefix that matches decides.
const GENERATIONS: &[Generation] = &[
    Generation {
        prefixes: &["claude-3-opus", "claude-3-sonnet", "claude-3-haiku"],
        capabilities: able(ThinkingKind::None, EffortLevels::None, 4_096, LEGACY),
    },
    Generation {
        prefixes: &["claude-3-5"],
        capabilities: able(ThinkingKind::None, EffortLevels::None, 8_192, LEGACY),
    },
    Generation {
        prefixes: &[
            "claude-opus-4",
            "claude-opus-4-0",
            "claude-opus-4-1",
            "claude-4-opus",
        ],
        capabilities: able(ThinkingKind::Budget, EffortLevels::None, 32_000, LEGACY),
    },
    Generation {
        prefixes: &[
            "claude-3-7",
            "claude-sonnet-4",
            "claude-sonnet-4-0",
            "claude-4-sonnet",
        ],
        capabilities: able(ThinkingKind::Budget, EffortLevels::None, 64_000, LEGACY),
    },
    Generation {
        prefixes: &["claude-haiku-4-5", "claude-sonnet-4-5"],
        capabilities: able(
            ThinkingKind::Budget,
            EffortLevels::None,
            64_000,
            Accepts {
                structured_output: true,
                ..LEGACY
            },
        ),
    },
    Generation {
        prefixes: &["claude-opus-4-5"],
        capabilities: able(
            ThinkingKind::Budget,
            EffortLevels::High,
            64_000,
            Accepts {
                structured_output: true,
                ..LEGACY
            },
        ),
    },
    Generation {
        prefixes: &["claude-opus-4-6", "claude-sonnet-4-6"],
        capabilities: able(
            ThinkingKind::Adaptive,
            EffortLevels::Max,
            128_000,
            Accepts {
                sampling: true,
                system_in_place: false,
                ..MODERN
            },
        ),
    },
    Generation {
        prefixes: &["claude-opus-4-7"],
        capabilities: able(
            ThinkingKind::Adaptive,
            EffortLevels::XHigh,
            128_000,
            Accepts {
                system_in_place: false,
                ..MODERN
            },
        ),
    },
    Generation {
        prefixes: &[
            "claude-opus-4-8",
            "claude-opus-5",
            "claude-sonnet-5",
            "claude-haiku-5-5",
        ],
        capabilities: able(ThinkingKind::Adaptive, EffortLevels::XHigh, 128_000, MODERN),
    },
    Generation {
        prefixes: &["claude-fable-5", "claude-mythos-5"],
        capabilities: able(ThinkingKind::Always, EffortLevels::XHigh, 128_000, MODERN),
    },
    Generation {
        prefixes: &[
            "claude-opus-5-1",
            "claude-sonnet-5-1",
            "claude-haiku-5-1",
            "claude-fable-5-1",
            "claude-mythos-5-1",
            "claude-sonnet-5-5",
            "claude-opus-5-5",
        ],
        capabilities: able(
            ThinkingKind::Always,
            EffortLevels::XHigh,
            128_000,
            Accepts {
                forced_tool_choice: false,
                ..MODERN
            },
        ),
    },
];

/// A Claude we have not heard of: taken for a modern one, but asked for little.
const UNHEARD_OF: Capabilities = able(
    ThinkingKind::Adaptive,
    EffortLevels::Max,
    8_192,
    Accepts {
        prefill: true,
        system_in_place: false,
        ..MODERN
    },
);

/// Something else that speaks Anthropic's dialect: taken for what the dialect first was.
const STRANGER: Capabilities = able(ThinkingKind::Budget, EffortLevels::None, 8_192, LEGACY);

impl Capabilities {
    /// The built-in answer for the provider's model `id`, corrected by what the operator says.
    pub fn of(id: &str, overrides: &CapabilityOverrides) -> Self {
        let built_in = Self::built_in(id);
        let accepts = built_in.accepts;
        Self {
            thinking: overrides.thinking.unwrap_or(built_in.thinking),
            effort: overrides.effort.unwrap_or(built_in.effort),
            max_output: overrides.max_output.unwrap_or(built_in.max_output),
            accepts: Accepts {
                sampling: overrides.sampling.unwrap_or(accepts.sampling),
                forced_tool_choice: overrides
                    .forced_tool_choice
                    .unwrap_or(accepts.forced_tool_choice),
                prefill: overrides.prefill.unwrap_or(accepts.prefill),
                structured_output: overrides
                    .structured_output
                    .unwrap_or(accepts.structured_output),
                system_in_place: overrides.system_in_place.unwrap_or(accepts.system_in_place),
            },
        }
    }

    fn built_in(id: &str) -> &'static Self {
        let known = GENERATIONS
            .iter()
            .flat_map(|generation| {
                let capabilities = &generation.capabilities;
                let prefixes = generation.prefixes.iter();
                prefixes.map(move |prefix| (*prefix, capabilities))
            })
            .filter(|(prefix, _)| begins(id, prefix))
            .max_by_key(|(prefix, _)| prefix.len());
        match known {
            Some((_, capabilities)) => capabilities,
            None if id.starts_with("claude-") => &UNHEARD_OF,
            None => &STRANGER,
        }
    }
}

/// `claude-opus-5` begins `claude-opus-5-20260801`, and not `claude-opus-50`.
fn begins(id: &str, prefix: &str) -> bool {
    id.strip_prefix(prefix)
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric()))
}
