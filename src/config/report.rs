//! Collects every problem of one run with the place of its setting. What is said about a setting is written by
//! whoever checks it; nobody may put a configured value into the words.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, Place};
use super::shape::join;
use super::tree::Node;

/// All problems so far, the settings' places and the environment that `_env` keys name variables of.
pub(super) struct Report<'a> {
    tree: Node,
    problems: RefCell<Vec<Diagnostic>>,
    /// The whole environment, not only our prefix.
    pub env: &'a BTreeMap<String, String>,
}

impl<'a> Report<'a> {
    pub fn new(tree: Node, problems: Vec<Diagnostic>, env: &'a BTreeMap<String, String>) -> Self {
        Self { tree, problems: RefCell::new(problems), env }
    }

    /// The whole configuration.
    pub fn top(&self) -> At<'_> {
        At { report: self, key: String::new() }
    }

    /// Every problem, in the order of reading.
    pub fn finish(self) -> Vec<Diagnostic> {
        let mut problems = self.problems.into_inner();
        problems.sort_by(|a, b| (&a.place, &a.key).cmp(&(&b.place, &b.key)));
        problems
    }
}

/// One setting or section, by its dotted key.
#[derive(Clone)]
pub(super) struct At<'a> {
    report: &'a Report<'a>,
    key: String,
}

impl<'a> At<'a> {
    /// The setting called `name` in this section.
    pub fn key(&self, name: &str) -> Self {
        Self { report: self.report, key: join(&self.key, name) }
    }

    /// The entry number `index` of this list.
    pub fn item(&self, index: usize) -> Self {
        self.key(&index.to_string())
    }

    /// Whether the setting was written anywhere.
    pub fn is_written(&self) -> bool {
        self.report.tree.has(&self.key)
    }

    /// Where the setting, or what is around it, was written.
    pub fn place(&self) -> Place {
        self.report.tree.place_of(&self.key)
    }

    /// An environment variable of the process.
    pub fn variable(&self, name: &str) -> Option<&'a str> {
        self.report.env.get(name).map(String::as_str)
    }

    /// Notes a problem. Always `None`, so that a parser can end with it.
    pub fn fail<T>(&self, problem: impl Into<String>, mend: impl Into<String>) -> Option<T> {
        self.report.problems.borrow_mut().push(Diagnostic {
            place: self.place(),
            key: self.key.clone(),
            problem: problem.into(),
            mend: mend.into(),
        });
        None
    }

    /// The value of a required setting; notes its absence.
    pub fn required<'v, T: ?Sized>(&self, value: Option<&'v T>, mend: &str) -> Option<&'v T> {
        value.or_else(|| self.missing(mend))
    }

    /// Notes that the setting is not there, unless a problem noted earlier explains that. Always `None`.
    pub fn missing<T>(&self, mend: &str) -> Option<T> {
        self.lacks("is missing", mend)
    }

    /// Like [`At::missing`], in other words.
    pub fn lacks<T>(&self, problem: &str, mend: &str) -> Option<T> {
        if self.is_explained() { None } else { self.fail(problem, mend) }
    }

    /// Whether a problem with this setting, something around it or something in it is noted already.
    fn is_explained(&self) -> bool {
        let inside = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let problems = self.report.problems.borrow();
        problems.iter().any(|noted| inside(&self.key, &noted.key) || inside(&noted.key, &self.key))
    }
}

/// Turns a list into values, noting the problems of every item; `None` if any item is bad.
pub(super) fn every<T, U>(
    at: &At<'_>,
    items: &[T],
    parse: impl Fn(&At<'_>, &T) -> Option<U>,
) -> Option<Vec<U>> {
    let parsed: Vec<Option<U>> =
        items.iter().enumerate().map(|(index, item)| parse(&at.item(index), item)).collect();
    parsed.into_iter().collect()
}

/// Notes every item that stands in the list a second time.
pub(super) fn unique<T: PartialEq>(at: &At<'_>, items: &[T]) -> Option<()> {
    let mut fine = Some(());
    for (index, item) in items.iter().enumerate() {
        if items.iter().take(index).any(|earlier| earlier == item) {
            fine = at.item(index).fail("is in the list twice", "remove one");
        }
    }
    fine
}

/// What is wrong with a value, and how to mend it: said by a parser that knows nothing of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub problem: &'static str,
    pub mend: &'static str,
}

/// Shorthand for `Err(Wrong { .. })`.
pub(super) fn wrong<T>(problem: &'static str, mend: &'static str) -> Result<T, Wrong> {
    Err(Wrong { problem, mend })
}

impl At<'_> {
    /// Takes what a parser returned, noting what it refused.
    pub fn take<T>(&self, parsed: Result<T, Wrong>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(Wrong { problem, mend }) => self.fail(problem, mend),
        }
    }
}
