//! What does an error page for people say: which error, for which zone, under which ray id?

/// The words of a page, without its tags.
#[derive(Default)]
pub(super) struct Page {
    title: String,
    words: String,
}

impl Page {
    /// `None`: the text is no page.
    pub(super) fn read(text: &str) -> Option<Self> {
        let start = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
        let begins_with = |tag: &str| {
            let head = start.get(..tag.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(tag))
        };
        let is_page = ["<!doctype html", "<html", "<head", "<!--[if"]
            .into_iter()
            .any(begins_with);
        is_page.then(|| {
            let lower = start.to_ascii_lowercase();
            Self {
                title: title(&lower).unwrap_or_default(),
                words: words(&lower),
            }
        })
    }

    /// The number after the word `error` or `error code`, where it can be Cloudflare's.
    pub(super) fn error_code(&self) -> Option<u16> {
        let after = |(at, word): (usize, &str)| {
            let rest = self.words.get(at + word.len()..)?;
            let rest = rest.trim_start_matches([' ', ':']);
            let rest = rest.strip_prefix("code").unwrap_or(rest);
            let rest = rest.trim_start_matches([' ', ':']);
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let code = rest.get(..digits)?.parse().ok()?;
            matches!(code, 500..=530 | 1000..=1999).then_some(code)
        };
        self.words.match_indices("error").find_map(after)
    }

    pub(super) fn zone(&self) -> Option<&str> {
        let named = [
            "too many requests for ",
            "unable to access ",
            "the owner of this website (",
        ];
        let mut in_words = named.into_iter().filter_map(|phrase| {
            let (_, rest) = self.words.split_once(phrase)?;
            host(rest)
        });
        // `zone | 522: Connection timed out`, `Access denied | zone used Cloudflare to restrict access`.
        let mut in_title = self.title.split('|').filter_map(|part| host(part.trim()));
        in_words.next().or_else(|| in_title.next())
    }

    pub(super) fn ray_id(&self) -> Option<&str> {
        let (_, rest) = self.words.split_once("ray id:")?;
        let rest = rest.trim_start();
        let length = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        (length >= 8).then(|| rest.get(..length))?
    }
}

/// The host name a text begins with: it holds a dot, a plain word does not.
fn host(text: &str) -> Option<&str> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let length = text.bytes().take_while(|byte| is_part(byte)).count();
    let host = text.get(..length)?.trim_end_matches('.');
    (host.contains('.') && !host.starts_with('.')).then_some(host)
}

fn title(page: &str) -> Option<String> {
    let (_, rest) = page.split_once("<title")?;
    let (_, rest) = rest.split_once('>')?;
    let (title, _) = rest.split_once("</title")?;
    Some(title.to_owned())
}

/// Tags become spaces and spaces become one, so that `Error</span> <span>1020` is found as it is read.
fn words(page: &str) -> String {
    let mut words = String::with_capacity(page.len() / 2);
    let mut in_tag = false;
    for c in page.chars() {
        let space = match c {
            '<' => {
                in_tag = true;
                true
            }
            '>' if in_tag => {
                in_tag = false;
                true
            }
            _ if in_tag => continue,
            _ => c.is_whitespace(),
        };
        match (space, words.ends_with(' ')) {
            (true, false) => words.push(' '),
            (true, true) => {}
            (false, _) => words.push(c),
        }
    }
    words
}
