//! Counts what came of the expiries, says which counts are not what they must be, and prints a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::front::Answered;
use super::kinds::Kind;
use super::{Report, must_be_none};

/// The counts of one kind of expiry. Each user's counts for itself.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub expiries: usize,
    pub calls: usize,
    /// Calls that were given up.
    pub aborted: usize,
    pub answers: BTreeMap<String, usize>,
    /// Answers that this kind does not allow.
    pub unexpected: usize,
    /// That reached the authorization server.
    pub token_requests: usize,
    /// That a killed replica took back.
    pub withheld: usize,
    /// Expiries with more or fewer of them than the kind costs.
    pub not_as_many: usize,
    /// What there is to say about such an expiry.
    pub amiss: Vec<String>,
    /// Token requests with a refresh token that had been used.
    pub repeated: usize,
    pub lost: usize,
    /// Sessions, and repeated token requests, of a replica that was killed between the authorization server's answer and
    /// the storing of it.
    pub lost_in_window: usize,
    pub repeated_in_window: usize,
    /// Calls answered 503, and those whose cookie worked afterwards.
    pub refused: usize,
    pub worked_afterwards: usize,
}

/// All counts of a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub rows: BTreeMap<Kind, Row>,
    /// Calls that reached the API with another user's token, or without one that is valid.
    pub of_others: usize,
    pub without_token: usize,
}

impl Tally {
    /// The row of a kind.
    pub fn row(&mut self, kind: Kind) -> &mut Row {
        self.rows.entry(kind).or_default()
    }

    /// A count over all kinds.
    pub fn sum(&self, count: impl Fn(&Row) -> usize) -> usize {
        self.rows.values().map(count).sum()
    }

    /// The table and the verdict.
    pub fn report(&self) -> Report {
        Report { text: self.text(), faults: self.faults() }
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.sum(|row| row.expiries) == 0 {
            faults.push("no token has ended".to_owned());
        }
        for (kind, row) in &self.rows {
            let name = kind.name();
            let mut none = |count, what: &str| {
                must_be_none(&mut faults, count, &format!("{what} ({name})"));
            };
            none(row.unexpected, "answers that must not be");
            none(row.not_as_many, "expiries with another number of token requests than they cost");
            none(row.repeated, "token requests with a used refresh token");
            none(row.lost, "lost sessions");
            none(row.refused - row.worked_afterwards, "cookies that did not work after a 503");
            faults.extend(row.amiss.iter().map(|what| format!("{what} ({name})")));
        }
        must_be_none(&mut faults, self.of_others, "calls with another user's token");
        must_be_none(&mut faults, self.without_token, "calls without a valid token");
        faults
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{:<24}{:>9}{:>8}{:>9}{:>9}{:>9}{:>9}{:>6}{:>16}{:>12}\n",
            "",
            "expiries",
            "calls",
            "given up",
            "token rq",
            "used rt",
            "not once",
            "lost",
            "lost in window",
            "503/after",
        );
        let mut line = |name: &str, row: &Row| {
            let Row { expiries, calls, aborted, token_requests, not_as_many, .. } = row;
            let Row { repeated, lost, lost_in_window, .. } = row;
            let refused = format!("{}/{}", row.refused, row.worked_afterwards);
            let _infallible = writeln!(
                text,
                "{name:<24}{expiries:>9}{calls:>8}{aborted:>9}{token_requests:>9}{repeated:>9}\
                 {not_as_many:>9}{lost:>6}{lost_in_window:>16}{refused:>12}",
            );
        };
        let mut all = Row::default();
        for (kind, row) in &self.rows {
            line(kind.name(), row);
            all.add(row);
        }
        line("together", &all);
        text.push_str("answers: ");
        let answers: Vec<String> =
            all.answers.iter().map(|(outcome, count)| format!("{outcome} {count}")).collect();
        text.push_str(&answers.join(", "));
        let _infallible = writeln!(
            text,
            "\nof those that must not be: {}; token requests that a killed replica took back: {}; used refresh tokens \
             in the crash window: {}\ncalls at the API with another user's token: {}, without a valid one: {}",
            all.unexpected,
            all.withheld,
            all.repeated_in_window,
            self.of_others,
            self.without_token,
        );
        text
    }
}

impl Row {
    /// Counts an answer.
    pub fn answered(&mut self, outcome: &str, is_allowed: bool) {
        *self.answers.entry(outcome.to_owned()).or_default() += 1;
        self.unexpected += usize::from(!is_allowed);
    }

    /// Counts what the old cookies, with which so many calls had been told to come again, got afterwards.
    pub fn shown_again(&mut self, refused: usize, again: &Answered) {
        self.refused += refused;
        if again.status == 200 {
            self.worked_afterwards += refused;
        } else {
            self.answered(&format!("afterwards: {}", again.outcome), false);
        }
    }

    fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.expiries, other.expiries),
            (&mut self.calls, other.calls),
            (&mut self.aborted, other.aborted),
            (&mut self.unexpected, other.unexpected),
            (&mut self.token_requests, other.token_requests),
            (&mut self.withheld, other.withheld),
            (&mut self.not_as_many, other.not_as_many),
            (&mut self.repeated, other.repeated),
            (&mut self.lost, other.lost),
            (&mut self.lost_in_window, other.lost_in_window),
            (&mut self.repeated_in_window, other.repeated_in_window),
            (&mut self.refused, other.refused),
            (&mut self.worked_afterwards, other.worked_afterwards),
        ];
        for (count, more) in pairs {
            *count += more;
        }
        self.amiss.extend_from_slice(&other.amiss);
        for (outcome, count) in &other.answers {
            *self.answers.entry(outcome.clone()).or_default() += count;
        }
    }
}
