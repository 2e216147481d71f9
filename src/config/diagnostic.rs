//! Says where a setting came from and what is wrong with it. A [`Diagnostic`] never holds a configured value,
//! only the names of keys: a value might be a secret that was written into the wrong place.

use std::fmt;
use std::sync::Arc;

/// Where a setting was written. Orders as a person reads: the file from top to bottom, then the overrides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// No file was given and nothing was written.
    Nowhere,
    /// Lines and columns (in characters) count from 1.
    File { file: Arc<str>, line: usize, column: usize },
    /// The name of the environment variable.
    Environment(String),
    /// A `--set` option.
    Set,
}

impl Place {
    /// Which layer wrote it; the higher one wins.
    pub(super) fn layer(&self) -> u8 {
        match self {
            Self::Nowhere => 0,
            Self::File { .. } => 1,
            Self::Environment(_) => 2,
            Self::Set => 3,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => f.write_str("configuration"),
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Set => f.write_str("--set"),
        }
    }
}

/// One problem of a configuration. Prints as `file:line:column key: what is wrong; how to mend it`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub place: Place,
    /// Dotted, with the numbers of entries, e.g. `routes.0.path`; empty when no key could be read.
    pub key: String,
    pub problem: String,
    pub mend: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, key, problem, mend } = self;
        let gap = if key.is_empty() { "" } else { " " };
        write!(f, "{place}{gap}{key}: {problem}; {mend}")
    }
}

/// The known name that `name` was probably meant to be.
pub(super) fn nearest<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a String>,
) -> Option<&'a str> {
    let close = |other: &str| {
        let distance = distance(name, other);
        (distance <= 1 + other.len() / 4).then_some(distance)
    };
    known
        .into_iter()
        .filter_map(|other| Some((close(other)?, other.as_str())))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// Levenshtein distance, `-` and `_` being the same; bounded, because a name can be as long as the file.
fn distance(a: &str, b: &str) -> usize {
    let fold = |text: &str| -> Vec<char> {
        text.to_lowercase().chars().map(|c| if c == '-' { '_' } else { c }).take(64).collect()
    };
    let (a, b) = (fold(a), fold(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for ((to, above_left), above) in b.iter().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or(usize::MAX - 1);
            let change = above_left + usize::from(from != to);
            next.push(change.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_letter_missing("isuer", Some("issuer"))]
    #[case::hyphens("client-id", Some("client_id"))]
    #[case::swapped("lisetn", Some("listen"))]
    #[case::nothing_like_it("flavour", None)]
    #[case::empty("", None)]
    fn the_nearest_known_key_is_suggested(#[case] wrong: &str, #[case] expected: Option<&str>) {
        let known = ["issuer", "client_id", "listen", "public_url"].map(str::to_owned);
        assert_eq!(nearest(wrong, &known), expected);
    }

    #[test]
    fn a_diagnostic_reads_as_place_key_problem_mend() {
        let place = Place::File { file: "c.toml".into(), line: 3, column: 5 };
        let mut diagnostic = Diagnostic {
            place,
            key: "provider.isuer".to_owned(),
            problem: "unknown key".to_owned(),
            mend: "did you mean issuer?".to_owned(),
        };
        let text = diagnostic.to_string();
        assert_eq!(text, "c.toml:3:5 provider.isuer: unknown key; did you mean issuer?");
        diagnostic.key.clear();
        diagnostic.place = Place::Environment("CLOAKROOM__X".to_owned());
        let text = diagnostic.to_string();
        assert_eq!(text, "environment CLOAKROOM__X: unknown key; did you mean issuer?");
    }
}
