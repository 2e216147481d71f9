//! The settings as written, each with its place, before anything is known about their meaning.
//! Never printed: a leaf may be a secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Place};

/// A value and where it was written.
pub struct Node {
    pub value: Value,
    pub place: Place,
    /// Where its key stands; the value's place for an item of a list.
    pub key_place: Place,
}

/// What TOML can hold.
pub enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    /// A date; no setting is one.
    Date,
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

impl Node {
    /// A value written in one place, key and all.
    pub fn new(value: Value, place: &Place) -> Self {
        Self { value, place: place.clone(), key_place: place.clone() }
    }

    /// An empty table.
    pub fn table(place: &Place) -> Self {
        Self::new(Value::Table(BTreeMap::new()), place)
    }

    /// The entry called `name`: a key of a table, a number of a list.
    pub fn child(&self, name: &str) -> Option<&Self> {
        match &self.value {
            Value::Table(entries) => entries.get(name),
            Value::List(items) => items.get(name.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// The place of the setting called `key` (dotted), or of the nearest thing around it.
    pub fn place_of(&self, key: &str) -> Place {
        let mut node = self;
        for name in key.split('.') {
            match node.child(name) {
                Some(child) => node = child,
                None => break,
            }
        }
        node.place.clone()
    }

    /// Whether the setting called `key` (dotted) was written.
    pub fn has(&self, key: &str) -> bool {
        key.split('.').try_fold(self, |node, name| node.child(name)).is_some()
    }

    /// The same without places.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Text(text) => text.as_str().into(),
            Value::Integer(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Bool(flag) => (*flag).into(),
            Value::Date => serde_json::Value::Null,
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Table(entries) => {
                let entries = entries.iter().map(|(key, node)| (key.clone(), node.to_json()));
                serde_json::Value::Object(entries.collect())
            }
        }
    }

    /// Reads JSON that was written in one place.
    pub fn from_json(json: serde_json::Value, place: &Place) -> Self {
        use serde_json::Value as Json;
        let value = match json {
            Json::Null => Value::Text(String::new()),
            Json::Bool(flag) => Value::Bool(flag),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Value::Integer(number),
                None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::Text(text),
            Json::Array(items) => {
                Value::List(items.into_iter().map(|item| Self::from_json(item, place)).collect())
            }
            Json::Object(entries) => {
                let read = |(key, item)| (key, Self::from_json(item, place));
                Value::Table(entries.into_iter().map(read).collect())
            }
        };
        Self::new(value, place)
    }
}

/// Reads a TOML document, or says where its syntax is broken: every spot.
pub fn parse_file(text: &str, file: &str) -> Result<Node, Vec<Diagnostic>> {
    let lines = Lines::new(text, file);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let place = lines.place(0);
        return Ok(Node::new(entries(table.get_ref(), &|offset| lines.place(offset)), &place));
    }
    let diagnostic = |error: &toml::de::Error| Diagnostic {
        place: lines.place(error.span().map_or(0, |span| span.start)),
        key: String::new(),
        // The message only: how the error prints would quote the line, and a secret in it.
        problem: format!("not TOML: {}", error.message().replace('\n', ", ")),
        mend: "mend the syntax; the settings are checked after that".to_owned(),
    };
    Err(errors.iter().map(diagnostic).collect())
}

/// Reads one TOML value, e.g. `["a", "b"]`, that was written in one place.
pub fn parse_value(text: &str, place: &Place) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    Some(Node::new(convert(value.get_ref(), &|_| place.clone()), place))
}

type PlaceAt<'a> = &'a dyn Fn(usize) -> Place;

fn entries(table: &DeTable<'_>, at: PlaceAt<'_>) -> Value {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key: &Spanned<std::borrow::Cow<'_, str>> = key;
        let mut node = node(value, at);
        node.key_place = at(key.span().start);
        (key.get_ref().to_string(), node)
    };
    Value::Table(table.iter().map(entry).collect())
}

fn node(value: &Spanned<DeValue<'_>>, at: PlaceAt<'_>) -> Node {
    Node::new(convert(value.get_ref(), at), &at(value.span().start))
}

fn convert(value: &DeValue<'_>, at: PlaceAt<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Float(f64::INFINITY), Value::Integer),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => Value::List(items.iter().map(|item| node(item, at)).collect()),
        DeValue::Table(table) => entries(table, at),
    }
}

/// Turns byte offsets of a text into lines and columns.
struct Lines<'a> {
    text: &'a str,
    file: Arc<str>,
    /// Offsets at which lines start.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str, file: &str) -> Self {
        let after = |(offset, _)| offset + 1;
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(after)).collect();
        Self { text, file: file.into(), starts }
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|line| self.starts.get(line)).copied();
        let before = self.text.get(start.unwrap_or(0)..offset).unwrap_or("");
        Place::File { file: self.file.clone(), line, column: before.chars().count() + 1 }
    }
}
