//! What does a client's model name say beside the name itself?

/// A model name as clients write it: `name` or `name,beta1,beta2`.
pub(super) struct Asked<'a> {
    pub name: &'a str,
    pub betas: Vec<String>,
}

impl<'a> Asked<'a> {
    /// `None` when what follows a comma could not stand in a header: then the whole is some other name.
    pub fn parse(model: &'a str) -> Option<Self> {
        let mut parts = model.split(',').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let betas: Vec<String> = parts
            .filter(|beta| !beta.is_empty())
            .map(str::to_owned)
            .collect();
        let named = model.contains(',');
        betas.iter().all(|beta| is_token(beta)).then_some(Self {
            // Without a comma nothing is stripped, not even space: the name is matched as it stands.
            name: if named { name } else { model },
            betas,
        })
    }
}

fn is_token(beta: &str) -> bool {
    beta.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// The name in front of a trailing `-YYYYMMDD`.
pub(super) fn undated(name: &str) -> Option<&str> {
    let (base, date) = name.rsplit_once('-')?;
    let is_date = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
    (is_date && !base.is_empty()).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn betas_follow_the_name_after_commas_and_empty_ones_do_not_count() {
        let asked = Asked::parse("claude, context-1m-2025-08-07,,interleaved.x_1 ,").unwrap();

        assert_eq!(asked.name, "claude");
        assert_eq!(asked.betas, ["context-1m-2025-08-07", "interleaved.x_1"]);
    }

    #[test]
    fn a_beta_that_could_not_stand_in_a_header_is_no_beta() {
        assert!(Asked::parse("claude,a b").is_none());
        assert!(Asked::parse("claude,x\r\nx-evil: 1").is_none());
        assert!(Asked::parse(",beta").is_none());
    }

    #[test]
    fn a_name_without_commas_is_taken_as_it_stands() {
        assert_eq!(Asked::parse(" spaced ").unwrap().name, " spaced ");
    }

    #[test]
    fn only_eight_digits_after_a_dash_are_a_date() {
        assert_eq!(undated("claude-sonnet-4-20250514"), Some("claude-sonnet-4"));
        assert_eq!(undated("claude-sonnet-4-2025051"), None);
        assert_eq!(undated("claude-sonnet-4-2025O514"), None);
        assert_eq!(undated("-20250514"), None);
    }
}
