//! The status page: one answer that holds all it needs, and the policy that lets nothing else in.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// A document and its Content-Security-Policy, which names its own style and script by their digests.
pub(super) struct Page {
    pub html: String,
    pub policy: String,
}

pub(super) fn page() -> &'static Page {
    static PAGE: LazyLock<Page> = LazyLock::new(|| {
        let style = include_str!("page/page.css");
        let script = concat!(include_str!("page/plot.js"), include_str!("page/page.js"));
        let html = include_str!("page/page.html")
            .replacen("/*css*/", style, 1)
            .replacen("/*js*/", script, 1);
        let policy = format!(
            "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            digest(style),
            digest(script),
        );
        Page { html, policy }
    });
    &PAGE
}

fn digest(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between<'h>(html: &'h str, open: &str, close: &str) -> Vec<&'h str> {
        let parts = html.split(open).skip(1);
        parts.filter_map(|part| part.split(close).next()).collect()
    }

    #[test]
    fn the_policy_names_just_the_style_and_the_script_that_are_in_it() {
        let Page { html, policy } = page();

        let [style] = between(html, "<style>", "</style>")[..] else {
            panic!("one style");
        };
        let [script] = between(html, "<script>", "</script>")[..] else {
            panic!("one script");
        };
        assert!(policy.contains(&format!("style-src {};", digest(style))));
        assert!(policy.contains(&format!("script-src {};", digest(script))));
    }

    #[test]
    fn it_brings_all_with_it_and_loads_nothing() {
        let html = &page().html;

        for loading in [
            "src=",
            "@import",
            "url(",
            "//cdn",
            " style=\"",
            " onclick",
            "import(",
        ] {
            assert!(!html.contains(loading), "{loading}");
        }
        let addresses = between(html, "https://", "\"");
        assert!(addresses.is_empty(), "{addresses:?}");
    }
}
