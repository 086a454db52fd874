//! What do tokens cost? The operator's table, as of a day that he names.

/// Dollars for a million tokens of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    pub input: f64,
    pub output: f64,
    pub cache_read: f64,
    /// Kept for minutes.
    pub cache_write: f64,
    pub cache_write_1h: f64,
}

/// `prices`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    /// Of what day they are; for people.
    pub version: Option<String>,
    /// The most specific first.
    models: Vec<(ModelPattern, Price)>,
}

/// A model's name, or the beginning of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPattern {
    text: String,
    open: bool,
}

/// A model without a price costs no less, whatever the table holds: what is not in it may be the dearest of all.
const DEAR: Price = Price {
    input: 15.0,
    output: 75.0,
    cache_read: 1.5,
    cache_write: 18.75,
    cache_write_1h: 30.0,
};

impl Prices {
    pub fn new(version: Option<String>, mut models: Vec<(ModelPattern, Price)>) -> Self {
        models.sort_by_key(|(pattern, _)| (pattern.open, usize::MAX - pattern.text.len()));
        Self { version, models }
    }

    /// The price of a model by the first of its names that has one.
    pub fn of<'n>(&self, mut names: impl Iterator<Item = &'n str>) -> Option<Price> {
        names.find_map(|name| {
            let mut fitting = self.models.iter().filter(|(model, _)| model.matches(name));
            fitting.next().map(|(_, price)| *price)
        })
    }

    /// For a model that has none.
    pub fn dearest(&self) -> Price {
        let all = self.models.iter().map(|(_, price)| *price);
        all.fold(DEAR, Price::dearer)
    }
}

impl Price {
    fn dearer(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            output: self.output.max(other.output),
            cache_read: self.cache_read.max(other.cache_read),
            cache_write: self.cache_write.max(other.cache_write),
            cache_write_1h: self.cache_write_1h.max(other.cache_write_1h),
        }
    }
}

impl ModelPattern {
    /// `None` where a `*` stands before the end.
    pub fn parse(text: &str) -> Option<Self> {
        let (text, open) = match text.strip_suffix('*') {
            Some(start) => (start, true),
            None => (text, false),
        };
        let sound = !text.contains('*') && (open || !text.is_empty());
        sound.then(|| Self {
            text: text.to_owned(),
            open,
        })
    }

    fn matches(&self, name: &str) -> bool {
        match self.open {
            true => name.starts_with(&self.text),
            false => name == self.text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(input: f64) -> Price {
        Price {
            input,
            ..Price::default()
        }
    }

    fn prices(models: &[(&str, f64)]) -> Prices {
        let models = models
            .iter()
            .map(|(model, input)| (ModelPattern::parse(model).unwrap(), price(*input)))
            .collect();
        Prices::new(None, models)
    }

    #[test]
    fn the_most_specific_pattern_wins_wherever_it_stands() {
        let prices = prices(&[
            ("*", 1.0),
            ("claude-*", 2.0),
            ("claude-opus-4*", 3.0),
            ("claude-opus-4", 4.0),
        ]);
        let input = |name| prices.of([name].into_iter()).unwrap().input;

        assert_eq!(input("gpt-5"), 1.0);
        assert_eq!(input("claude-haiku"), 2.0);
        assert_eq!(input("claude-opus-4.5"), 3.0);
        assert_eq!(input("claude-opus-4"), 4.0);
    }

    #[test]
    fn a_model_has_the_price_of_its_first_name_that_has_one() {
        let prices = prices(&[("best", 1.0), ("claude-*", 2.0)]);
        let input =
            |names: &[&'static str]| prices.of(names.iter().copied()).map(|price| price.input);

        assert_eq!(input(&["best", "claude-opus"]), Some(1.0));
        assert_eq!(input(&["ours", "claude-opus"]), Some(2.0));
        assert_eq!(input(&["ours", "gpt"]), None);
    }

    #[test]
    fn a_model_without_a_price_is_taken_for_the_dearest_there_or_anywhere() {
        let dearest = |input, output| {
            let mut one = price(3.0);
            one.output = output;
            let models = [("a", one), ("b", price(input))]
                .map(|(name, price)| (ModelPattern::parse(name).unwrap(), price));
            let dearest = Prices::new(None, models.into()).dearest();
            (dearest.input, dearest.output)
        };

        assert_eq!(dearest(40.0, 90.0), (40.0, 90.0));
        assert_eq!(dearest(4.0, 90.0), (15.0, 90.0));
        assert_eq!(dearest(1.0, 5.0), (15.0, 75.0), "a table of small models");
        assert_eq!(Prices::default().dearest(), DEAR);
    }

    #[test]
    fn a_star_stands_at_the_end_only() {
        for text in ["*-opus", "a*b", "**", ""] {
            assert_eq!(ModelPattern::parse(text), None, "{text}");
        }
        assert!(ModelPattern::parse("*").is_some());
    }
}
