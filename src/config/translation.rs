//! How are chat completions translated for Anthropic's models, where what is built in does not fit?

use std::collections::BTreeMap;

/// The `translation` section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// What cannot be delivered and does no harm, such as `logprobs`, is ignored, not refused.
    pub lenient: bool,
    /// `function.strict` goes up, where the model knows it.
    pub strict_tools: bool,
    /// A tool that does nothing is offered where the history has calls and the request has no tools.
    pub dummy_tool: bool,
    /// By the beginning of the provider's model id, of which [`begins`] says where it may end.
    pub models: BTreeMap<String, Traits>,
}

/// What a model can do; `None` leaves it to what is built in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    pub thinking: Option<ThinkingKind>,
    /// `temperature`, `top_p` and `top_k` are taken.
    pub sampling: Option<bool>,
    /// `tool_choice` may be `any` or a tool.
    pub forced_tool_choice: Option<bool>,
    /// The levels of `output_config.effort`; none: it does not know the field.
    pub efforts: Option<Vec<Effort>>,
    /// The last message may be the assistant's.
    pub prefill: Option<bool>,
    /// `output_config.format` and strict tools are taken.
    pub structured_outputs: Option<bool>,
    /// `role: system` may stand within `messages`.
    pub system_in_messages: Option<bool>,
    /// Sent where the client sets no limit.
    pub max_tokens: Option<u32>,
}

/// How a model is asked to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThinkingKind {
    /// Not at all.
    None,
    /// `enabled`, with `budget_tokens`.
    Budget,
    /// `adaptive`, and it can be switched off.
    Adaptive,
    /// `adaptive`, and `disabled` is refused.
    Always,
}

/// In rising order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Translation {
    /// What is said of this model: by the longest beginning that fits it.
    pub fn traits_of(&self, id: &str) -> Option<&Traits> {
        let fitting = self.models.iter().filter(|(start, _)| begins(id, start));
        let longest = fitting.max_by_key(|(start, _)| start.len());
        longest.map(|(_, traits)| traits)
    }
}

/// Whether `start` names the model `id`: `claude-opus-5` does so for `claude-opus-5-20260801`, and for neither
/// `claude-opus-50` nor `claude-opus-5-1`, which is another version. What ends in `-` names all that follow. Some write
/// a version with a dot.
pub fn begins(id: &str, start: &str) -> bool {
    let dashed = |byte: &u8| if *byte == b'.' { b'-' } else { *byte };
    let (id, start) = (id.as_bytes(), start.as_bytes());
    let Some((same, rest)) = id.split_at_checked(start.len()) else {
        return false;
    };
    let Some(last) = start.last() else {
        return true;
    };
    let fits = same.iter().map(dashed).eq(start.iter().map(dashed));
    let Some((next, more)) = rest.split_first() else {
        return fits;
    };
    let digits = more.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // A date has eight digits.
    let another = last.is_ascii_digit() && dashed(next) == b'-' && (1..=2).contains(&digits);
    fits && (dashed(last) == b'-' || !(next.is_ascii_alphanumeric() || another))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_of_a_models_id_counts() {
        let limit = |tokens| Traits {
            max_tokens: Some(tokens),
            ..Traits::default()
        };
        let models = [("claude-", 1), ("claude-opus-", 2), ("claude-opus-4-1", 3)];
        let translation = Translation {
            models: models
                .map(|(start, tokens)| (start.to_owned(), limit(tokens)))
                .into(),
            ..Translation::default()
        };

        let tokens = |id| {
            translation
                .traits_of(id)
                .and_then(|traits| traits.max_tokens)
        };

        assert_eq!(tokens("claude-opus-4.1"), Some(3));
        assert_eq!(tokens("claude-opus-4-10"), Some(2), "another word");
        assert_eq!(tokens("claude-haiku-4-5"), Some(1));
        assert_eq!(tokens("claude-opus-4-5"), Some(2));
        assert_eq!(tokens("claude-opus-4-1-20250805"), Some(3));
        assert_eq!(tokens("gpt-x"), None);
    }

    #[test]
    fn a_beginning_ends_where_a_word_or_a_version_does() {
        for (id, start, fits) in [
            ("claude-opus-5", "claude-opus-5", true),
            ("claude-opus-5-20260801", "claude-opus-5", true),
            ("claude-opus-5@20260801", "claude-opus-5", true),
            ("claude-opus-5-latest", "claude-opus-5", true),
            ("claude-opus-50", "claude-opus-5", false),
            ("claude-opus-5-1", "claude-opus-5", false),
            ("claude-opus-5.1", "claude-opus-5", false),
            ("claude-opus-5-12-fast", "claude-opus-5", false),
            ("claude-opus-5.1", "claude-opus-5-1", true),
            ("claude-opus-5-1", "claude-opus-5.1", true),
            ("claude-opus-5-1", "claude-opus-", true),
            ("claude-opus-5-1", "claude-opus", true),
            ("claude-opus-5-1", "claude-op", false),
            ("claude", "claude-", false),
            ("anything", "", true),
            ("ä", "a", false),
        ] {
            assert_eq!(begins(id, start), fits, "{start} {id}");
        }
    }
}
