//! Compares what was written with the schema: unknown keys, wrong types, numbers out of bounds, words outside a
//! closed list. Reports all of them and takes them out, so that the rest can be read and checked in the same run.

use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, Place, nearest};
use super::schema::{Kind, Shape};
use super::tree::{Node, Value};

/// Checks `node`, which is the setting called `key` (`""` for everything), and prunes what does not fit.
pub(super) fn check(node: &mut Node, shape: Shape<'_>, key: &str, problems: &mut Vec<Diagnostic>) {
    match &mut node.value {
        Value::Table(entries) => table(entries, shape, key, problems),
        Value::List(items) => {
            let mut whole = true;
            for (index, item) in items.iter_mut().enumerate() {
                let name = index.to_string();
                whole &= keep(item, shape.child(&name), &join(key, &name), problems);
            }
            if !whole {
                // All or nothing: taking out one entry would renumber the others.
                items.clear();
            }
        }
        _ => {}
    }
}

fn table(
    entries: &mut BTreeMap<String, Node>,
    shape: Shape<'_>,
    key: &str,
    problems: &mut Vec<Diagnostic>,
) {
    entries.retain(|name, node| {
        let key = join(key, name);
        let child = shape.child(name);
        if child.is_none() {
            let names = shape.names().map(|names| names.keys()).into_iter().flatten();
            let mend = match nearest(name, names) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "remove it; docs/configuration.md lists every key".to_owned(),
            };
            problems.push(problem(&node.key_place, &key, "unknown key".to_owned(), mend));
        }
        child.is_some() && keep(node, child, &key, problems)
    });
}

/// Whether `node` has the right type and value; looks inside it if so.
fn keep(
    node: &mut Node,
    shape: Option<Shape<'_>>,
    key: &str,
    problems: &mut Vec<Diagnostic>,
) -> bool {
    let Some(shape) = shape else { return true };
    if let Some((what, mend)) = misfit(&node.value, shape) {
        problems.push(problem(&node.place, key, what, mend));
        return false;
    }
    check(node, shape, key, problems);
    true
}

/// What is wrong with `value`, and how to mend it. Never quotes the value.
fn misfit(value: &Value, shape: Shape<'_>) -> Option<(String, String)> {
    let wanted = shape.kind();
    match (value, wanted) {
        (Value::Table(_), Kind::Table)
        | (Value::List(_), Kind::List)
        | (Value::Bool(_), Kind::Bool) => None,
        (Value::Text(text), Kind::Text) => {
            let choices = shape.choices()?;
            let known = choices.contains(&text.as_str());
            let mend = || format!("write one of {}", choices.join(", "));
            (!known).then(|| ("not a known word".to_owned(), mend()))
        }
        (Value::Integer(number), Kind::Integer) => {
            let (min, max) = shape.bounds();
            let low = min.filter(|min| number < min).map(|min| format!("write at least {min}"));
            let high = max.filter(|max| number > max).map(|max| format!("write at most {max}"));
            low.or(high).map(|mend| ("out of bounds".to_owned(), mend))
        }
        _ => Some((format!("is {}", found(value)), format!("write {}", example(wanted)))),
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number that is not whole or too large",
        Value::Bool(_) => "true or false",
        Value::Date => "a date",
        Value::List(_) => "a list",
        Value::Table(_) => "a table",
    }
}

fn example(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a text in quotes",
        Kind::Integer => "a whole number without quotes",
        Kind::Bool => "true or false without quotes",
        Kind::List => "a list in brackets, e.g. [\"a\", \"b\"]",
        Kind::Table => "a table, e.g. a [section]",
    }
}

/// `key.name`, or `name` at the top.
pub(super) fn join(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

fn problem(place: &Place, key: &str, problem: String, mend: String) -> Diagnostic {
    Diagnostic { place: place.clone(), key: key.to_owned(), problem, mend }
}
