//! What does a model accept that others refuse?

use std::borrow::Cow;

use crate::config::{Effort, ThinkingKind, Traits, begins};

/// One model's abilities: by its id, and as the operator corrected them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    pub thinking: ThinkingKind,
    /// The levels of `output_config.effort`, rising; none where the field is not known.
    pub efforts: Cow<'static, [Effort]>,
    /// `max_tokens` where nobody says one.
    pub max_tokens: u32,
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
    pub structured_outputs: bool,
    /// `role: system` among the messages.
    pub system_in_messages: bool,
}

const LEGACY: Accepts = Accepts {
    sampling: true,
    forced_tool_choice: true,
    prefill: true,
    structured_outputs: false,
    system_in_messages: false,
};
const FROM_4_5: Accepts = Accepts {
    structured_outputs: true,
    ..LEGACY
};
const FROM_4_6: Accepts = Accepts {
    prefill: false,
    ..FROM_4_5
};
const FROM_4_7: Accepts = Accepts {
    sampling: false,
    ..FROM_4_6
};
const FROM_4_8: Accepts = Accepts {
    system_in_messages: true,
    ..FROM_4_7
};
const UNFORCED: Accepts = Accepts {
    forced_tool_choice: false,
    ..FROM_4_8
};

const TO_HIGH: &[Effort] = &[Effort::Low, Effort::Medium, Effort::High];
const WITHOUT_XHIGH: &[Effort] = &[Effort::Low, Effort::Medium, Effort::High, Effort::Max];
const ALL: &[Effort] = &[
    Effort::Low,
    Effort::Medium,
    Effort::High,
    Effort::XHigh,
    Effort::Max,
];

/// Models that behave alike.
type Generation = (ThinkingKind, &'static [Effort], u32, Accepts);

const OPUS_4: Generation = (ThinkingKind::Budget, &[], 32_000, LEGACY);
const SONNET_4: Generation = (ThinkingKind::Budget, &[], 64_000, LEGACY);
const V4_5: Generation = (ThinkingKind::Budget, &[], 64_000, FROM_4_5);
const V4_6: Generation = (ThinkingKind::Adaptive, WITHOUT_XHIGH, 128_000, FROM_4_6);
const V4_8: Generation = (ThinkingKind::Adaptive, ALL, 128_000, FROM_4_8);
const V5_ALWAYS: Generation = (ThinkingKind::Always, ALL, 128_000, FROM_4_8);
const V5_1: Generation = (ThinkingKind::Always, ALL, 128_000, UNFORCED);
/// A Claude we have not heard of: taken for a modern one, but asked for little.
const UNHEARD_OF: Generation = (
    ThinkingKind::Adaptive,
    WITHOUT_XHIGH,
    8_192,
    Accepts {
        prefill: true,
        ..FROM_4_7
    },
);
/// Something else that speaks Anthropic's dialect: taken for what the dialect first was.
const STRANGER: Generation = (ThinkingKind::Budget, &[], 8_192, LEGACY);

/// By the beginnings of ids; the longest that fits decides.
const MODELS: &[(&str, Generation)] = &[
    ("claude-", UNHEARD_OF),
    ("claude-3", (ThinkingKind::None, &[], 4_096, LEGACY)),
    ("claude-3-5", (ThinkingKind::None, &[], 8_192, LEGACY)),
    ("claude-3-7", SONNET_4),
    ("claude-4-sonnet", SONNET_4),
    ("claude-sonnet-4", SONNET_4),
    ("claude-sonnet-4-0", SONNET_4),
    ("claude-4-opus", OPUS_4),
    ("claude-opus-4", OPUS_4),
    ("claude-opus-4-0", OPUS_4),
    ("claude-opus-4-1", OPUS_4),
    ("claude-haiku-4-5", V4_5),
    ("claude-sonnet-4-5", V4_5),
    (
        "claude-opus-4-5",
        (ThinkingKind::Budget, TO_HIGH, 64_000, FROM_4_5),
    ),
    ("claude-opus-4-6", V4_6),
    ("claude-sonnet-4-6", V4_6),
    (
        "claude-opus-4-7",
        (ThinkingKind::Adaptive, ALL, 128_000, FROM_4_7),
    ),
    ("claude-opus-4-8", V4_8),
    ("claude-opus-5", V4_8),
    ("claude-sonnet-5", V4_8),
    ("claude-haiku-5-5", V4_8),
    ("claude-fable-5", V5_ALWAYS),
    ("claude-mythos-5", V5_ALWAYS),
    ("claude-opus-5-1", V5_1),
    ("claude-sonnet-5-1", V5_1),
    ("claude-haiku-5-1", V5_1),
    ("claude-fable-5-1", V5_1),
    ("claude-mythos-5-1", V5_1),
    ("claude-sonnet-5-5", V5_1),
    ("claude-opus-5-5", V5_1),
];

impl Capabilities {
    /// The built-in answer for the provider's model `id`, corrected by what the operator says.
    pub fn of(id: &str, traits: Option<&Traits>) -> Self {
        let built_in = Self::built_in(id);
        let Some(traits) = traits else {
            return built_in;
        };
        let accepts = built_in.accepts;
        Self {
            thinking: traits.thinking.unwrap_or(built_in.thinking),
            efforts: match &traits.efforts {
                Some(efforts) => Cow::Owned(efforts.clone()),
                None => built_in.efforts,
            },
            max_tokens: traits.max_tokens.unwrap_or(built_in.max_tokens),
            accepts: Accepts {
                sampling: traits.sampling.unwrap_or(accepts.sampling),
                forced_tool_choice: traits
                    .forced_tool_choice
                    .unwrap_or(accepts.forced_tool_choice),
                prefill: traits.prefill.unwrap_or(accepts.prefill),
                structured_outputs: traits
                    .structured_outputs
                    .unwrap_or(accepts.structured_outputs),
                system_in_messages: traits
                    .system_in_messages
                    .unwrap_or(accepts.system_in_messages),
            },
        }
    }

    fn built_in(id: &str) -> Self {
        let fitting = MODELS.iter().filter(|(start, _)| begins(id, start));
        let longest = fitting.max_by_key(|(start, _)| start.len());
        let (thinking, efforts, max_tokens, accepts) =
            longest.map_or(STRANGER, |(_, generation)| *generation);
        Self {
            thinking,
            efforts: Cow::Borrowed(efforts),
            max_tokens,
            accepts,
        }
    }

    /// A default `thinking` of this type was written for an older model: this one sets its budget itself.
    pub fn outgrew(&self, thinking: &str) -> bool {
        let adaptive = matches!(self.thinking, ThinkingKind::Adaptive | ThinkingKind::Always);
        adaptive && thinking == "enabled"
    }

    /// The highest level the model has that is not above `wish`, else its lowest.
    pub(super) fn effort(&self, wish: Effort) -> Option<Effort> {
        let below = self.efforts.iter().filter(|level| **level <= wish).max();
        below.or(self.efforts.iter().min()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(id: &str) -> Capabilities {
        Capabilities::of(id, None)
    }

    #[test]
    fn a_dated_id_is_its_models_and_a_longer_version_is_another() {
        assert_eq!(of("claude-opus-5-20260801"), of("claude-opus-5"));
        assert_eq!(of("claude-sonnet-4-20250514").max_tokens, 64_000);
        assert!(of("claude-opus-5").accepts.forced_tool_choice);
        assert!(!of("claude-opus-5-1").accepts.forced_tool_choice);
        assert_eq!(of("claude-opus-50"), of("claude-unheard-of"));
    }

    #[test]
    fn a_version_that_nobody_knows_is_not_taken_for_the_oldest() {
        for id in [
            "claude-opus-4-9",
            "claude-sonnet-4-8",
            "claude-opus-5-2",
            "claude-opus-4.9",
        ] {
            assert_eq!(of(id), of("claude-unheard-of"), "{id}");
        }
        assert_eq!(of("claude-opus-4.8"), of("claude-opus-4-8"));
        assert_eq!(of("claude-sonnet-4.6-20260217"), of("claude-sonnet-4-6"));
        for id in [
            "claude-opus-4-0",
            "claude-opus-4-1-20250805",
            "claude-opus-4-20250514",
        ] {
            assert_eq!(of(id).max_tokens, 32_000, "{id}");
        }
        assert_eq!(of("claude-3-5-haiku-20241022").max_tokens, 8_192);
        assert_eq!(of("claude-3-haiku-20240307").max_tokens, 4_096);
    }

    /// Model, thinking, the most it can write, and what sets it apart.
    const ROWS: &str = "
        claude-haiku-4-5  Budget    64000  sampling forced prefill
        claude-sonnet-4-5 Budget    64000  sampling forced prefill
        claude-opus-4-5   Budget    64000  sampling forced prefill effort
        claude-opus-4-6   Adaptive 128000  sampling forced effort
        claude-sonnet-4-6 Adaptive 128000  sampling forced effort
        claude-opus-4-7   Adaptive 128000  forced effort xhigh
        claude-opus-4-8   Adaptive 128000  forced effort xhigh in-place
        claude-opus-5     Adaptive 128000  forced effort xhigh in-place
        claude-sonnet-5   Adaptive 128000  forced effort xhigh in-place
        claude-haiku-5-5  Adaptive 128000  forced effort xhigh in-place
        claude-fable-5    Always   128000  forced effort xhigh in-place
        claude-mythos-5   Always   128000  forced effort xhigh in-place
        claude-fable-5-1  Always   128000  effort xhigh in-place
        claude-sonnet-5-5 Always   128000  effort xhigh in-place
        claude-opus-5-5   Always   128000  effort xhigh in-place";

    #[test]
    fn each_generation_has_what_its_row_says() {
        for row in ROWS.trim().lines() {
            let words: Vec<&str> = row.split_whitespace().collect();
            let model = of(words[0]);
            let accepts = model.accepts;

            assert_eq!(format!("{:?}", model.thinking), words[1], "{row}");
            assert_eq!(model.max_tokens.to_string(), words[2], "{row}");
            for (word, has) in [
                ("sampling", accepts.sampling),
                ("forced", accepts.forced_tool_choice),
                ("prefill", accepts.prefill),
                ("in-place", accepts.system_in_messages),
                ("effort", !model.efforts.is_empty()),
                ("xhigh", model.efforts.contains(&Effort::XHigh)),
            ] {
                assert_eq!(has, words.contains(&word), "{word}: {row}");
            }
            assert!(accepts.structured_outputs, "{row}");
        }
    }

    #[test]
    fn what_nobody_knows_gets_a_careful_limit() {
        assert_eq!(of("claude-next-7").max_tokens, 8_192);
        assert!(
            !of("claude-next-7").accepts.sampling,
            "no later model took it"
        );
        assert_eq!(of("some-other-model").max_tokens, 8_192);
        assert!(of("some-other-model").accepts.sampling);
    }

    #[test]
    fn the_operators_word_beats_the_table_and_only_where_it_is_given() {
        let traits = Traits {
            sampling: Some(true),
            efforts: Some(vec![Effort::Low]),
            max_tokens: Some(77),
            ..Traits::default()
        };

        let model = Capabilities::of("claude-opus-5", Some(&traits));

        assert!(model.accepts.sampling);
        assert_eq!(model.effort(Effort::Max), Some(Effort::Low));
        assert_eq!(model.max_tokens, 77);
        assert_eq!(model.thinking, of("claude-opus-5").thinking);
    }

    #[test]
    fn an_effort_the_model_lacks_becomes_the_next_below() {
        assert_eq!(
            of("claude-opus-4-6").effort(Effort::XHigh),
            Some(Effort::High)
        );
        assert_eq!(
            of("claude-opus-4-7").effort(Effort::XHigh),
            Some(Effort::XHigh)
        );
        assert_eq!(
            of("claude-opus-4-5").effort(Effort::Max),
            Some(Effort::High)
        );
        assert_eq!(of("claude-haiku-4-5").effort(Effort::Low), None);
    }
}
