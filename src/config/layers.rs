//! Lays the environment and `--set` over the file; the later wins. Refuses secrets in `--set`, where the process
//! list would show them. Decides only where a setting goes, never whether its value is good.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, Place};
use super::schema::{Kind, Shape};
use super::tree::{Node, Value, parse_value};

/// Variables that start so are settings.
const PREFIX: &str = "CLOAKROOM__";

/// One setting written outside the file.
struct Override {
    path: Vec<String>,
    text: String,
    place: Place,
}

/// Lays first `env`, then `set` over `tree`.
pub(super) fn overlay(
    tree: &mut Node,
    env: &BTreeMap<String, String>,
    set: &[(String, String)],
    shape: Shape<'_>,
    problems: &mut Vec<Diagnostic>,
) {
    let mut overrides: Vec<Override> = env.iter().filter_map(from_environment).collect();
    // Entry 2 of a list is appended before entry 10.
    overrides.sort_by(|a, b| by_number(&a.path, &b.path));
    overrides.extend(set.iter().map(|(key, text)| Override {
        path: key.trim().split('.').map(str::to_owned).collect(),
        text: text.clone(),
        place: Place::Set,
    }));
    for one in overrides {
        let refused = if one.path.iter().all(String::is_empty) {
            Err(("is not SECTION.KEY=VALUE", "write it like --set session.idle_timeout=15m"))
        } else {
            apply(tree, &one, shape)
        };
        if let Err((problem, mend)) = refused {
            let (problem, mend) = (problem.to_owned(), mend.to_owned());
            problems.push(Diagnostic { place: one.place, key: one.path.join("."), problem, mend });
        }
    }
}

fn from_environment((name, text): (&String, &String)) -> Option<Override> {
    let key = name.strip_prefix(PREFIX)?;
    Some(Override {
        path: key.split("__").map(str::to_ascii_lowercase).collect(),
        text: text.clone(),
        place: Place::Environment(name.clone()),
    })
}

fn by_number(a: &[String], b: &[String]) -> Ordering {
    let name = |(a, b): (&String, &String)| match (a.parse::<usize>(), b.parse::<usize>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    };
    let differs = a.iter().zip(b).map(name).find(|order| *order != Ordering::Equal);
    differs.unwrap_or_else(|| a.len().cmp(&b.len()))
}

type Refused = (&'static str, &'static str);

fn apply(tree: &mut Node, one: &Override, root: Shape<'_>) -> Result<(), Refused> {
    let mut shape = Some(root);
    for name in &one.path {
        shape = shape.and_then(|shape| shape.child(name));
    }
    let node = match shape {
        Some(shape) => coerce(&one.text, shape, &one.place)?,
        // Unknown: the shape check says so, with the nearest known key.
        None => Node::new(Value::Text(String::new()), &one.place),
    };
    if one.place == Place::Set && shape.is_some_and(|shape| holds_secret(&node, shape)) {
        return Err((
            "is a secret, and the process list would show it",
            "use the environment, or the `_file` or `_env` form of the key",
        ));
    }
    put(tree, &one.path, Some(root), node)
}

/// Reads `text` as what the schema wants; text that does not fit stays text, and the shape check reports it.
fn coerce(text: &str, shape: Shape<'_>, place: &Place) -> Result<Node, Refused> {
    let as_text = || Value::Text(text.to_owned());
    let trimmed = text.trim();
    let value = match shape.kind() {
        Kind::Text => as_text(),
        Kind::Integer => trimmed.parse().map_or_else(|_| as_text(), Value::Integer),
        Kind::Bool => trimmed.parse().map_or_else(|_| as_text(), Value::Bool),
        Kind::List if !trimmed.starts_with('[') => {
            let items = trimmed.split(',').map(str::trim).filter(|item| !item.is_empty());
            let item = |item: &str| match shape.child("0") {
                Some(shape) => coerce(item, shape, place),
                None => Ok(Node::new(Value::Text(item.to_owned()), place)),
            };
            Value::List(items.map(item).collect::<Result<_, _>>()?)
        }
        Kind::Table if !trimmed.starts_with('{') => as_text(),
        Kind::List | Kind::Table => return structured(trimmed, place),
    };
    Ok(Node::new(value, place))
}

fn structured(text: &str, place: &Place) -> Result<Node, Refused> {
    if let Ok(json) = serde_json::from_str(text) {
        return Ok(Node::from_json(json, place));
    }
    parse_value(text, place).ok_or((
        "neither TOML nor JSON",
        "write a list as a,b or [\"a\", \"b\"], a table as { a = \"b\" } or {\"a\": \"b\"}",
    ))
}

fn holds_secret(node: &Node, shape: Shape<'_>) -> bool {
    let inside =
        |name: &str, node| shape.child(name).is_some_and(|shape| holds_secret(node, shape));
    shape.is_secret()
        || match &node.value {
            Value::Table(entries) => entries.iter().any(|(name, node)| inside(name, node)),
            Value::List(items) => items.iter().any(|node| inside("0", node)),
            _ => false,
        }
}

/// Puts `new` where `path` points, making the tables on the way.
fn put(
    node: &mut Node,
    path: &[String],
    shape: Option<Shape<'_>>,
    new: Node,
) -> Result<(), Refused> {
    let Some((name, rest)) = path.split_first() else {
        *node = new;
        return Ok(());
    };
    let inner = shape.and_then(|shape| shape.child(name));
    if shape.is_some_and(|shape| shape.kind() == Kind::List) {
        return put_item(node, (name, rest), inner, new);
    }
    if !matches!(node.value, Value::Table(_)) {
        *node = Node::table(&new.place);
    }
    let place = place_of_new(inner, &node.place, &new.place);
    if let Value::Table(entries) = &mut node.value {
        let entry = entries.entry(name.clone()).or_insert_with(|| Node::table(&place));
        return put(entry, rest, inner, new);
    }
    Ok(())
}

/// A section that an override opens stands where the section around it does: what the override did not write is
/// missing there, not in the override.
fn place_of_new(shape: Option<Shape<'_>>, around: &Place, written: &Place) -> Place {
    let section = shape.is_some_and(|shape| matches!(shape.kind(), Kind::Table | Kind::List));
    if section { around.clone() } else { written.clone() }
}

fn put_item(
    node: &mut Node,
    (name, rest): (&str, &[String]),
    shape: Option<Shape<'_>>,
    new: Node,
) -> Result<(), Refused> {
    const GAP: Refused =
        ("there is no such entry", "count the entries from 0, and add the next one without a gap");
    let index: usize = name.parse().map_err(|_| GAP)?;
    let place = place_of_new(shape, &node.place, &new.place);
    if !matches!(node.value, Value::List(_)) {
        *node = Node::new(Value::List(Vec::new()), &place);
    }
    let Value::List(items) = &mut node.value else { return Err(GAP) };
    if index == items.len() {
        items.push(Node::table(&place));
    }
    put(items.get_mut(index).ok_or(GAP)?, rest, shape, new)
}
