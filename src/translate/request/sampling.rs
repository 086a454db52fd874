//! Which of the client's dice does the model take?

use serde_json::value::RawValue;

use super::super::openai::{self, StringOr, Text};
use super::Ask;

/// Thinking accepts `top_p` from here on.
const LEAST_TOP_P_WITH_THINKING: f64 = 0.95;

#[derive(Default)]
pub(super) struct Sampling<'a> {
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<&'a RawValue>,
}

impl Ask<'_> {
    /// Later models take none, thinking wants the defaults, and both of `temperature` and `top_p` are
    /// one too many for 4.5.
    pub(super) fn sampling<'a>(
        &mut self,
        asked: &openai::Request<'a>,
        thinks: bool,
    ) -> Sampling<'a> {
        let accepted = self.model.capabilities.accepts.sampling;
        let free = accepted && !thinks;
        let temperature = self.keep("temperature", asked.temperature, |_| free);
        let top_p = self.keep("top_p", asked.top_p, |top_p| match thinks {
            true => accepted && *top_p >= LEAST_TOP_P_WITH_THINKING,
            false => accepted && temperature.is_none(),
        });
        Sampling {
            // OpenAI's goes to 2.
            temperature: temperature.map(|temperature| temperature.clamp(0.0, 1.0)),
            top_p,
            top_k: self.keep("top_k", asked.top_k, |_| free),
        }
    }

    fn keep<T>(
        &mut self,
        name: &'static str,
        value: Option<T>,
        allowed: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let given = value.is_some();
        let kept = value.filter(allowed);
        if given && kept.is_none() {
            self.dropped.push(name.into());
        }
        kept
    }
}

/// Without those of white space alone, which Anthropic refuses.
pub(super) fn stop_sequences<'a>(stop: Option<StringOr<'a, Vec<Text<'a>>>>) -> Vec<Text<'a>> {
    let mut sequences = match stop {
        None => Vec::new(),
        Some(StringOr::Text(one)) => vec![one],
        Some(StringOr::Other(many)) => many,
    };
    sequences.retain(|sequence| !sequence.is_blank());
    sequences
}
