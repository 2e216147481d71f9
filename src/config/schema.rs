//! The JSON schema of the configuration, made from the raw types, and questions to it. The shape check, the
//! overrides and editors all ask the same document, so that they cannot disagree about a key.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::raw::RawConfig;

/// The schema as pretty JSON, for `config/cloakroom.schema.json`.
pub fn schema() -> String {
    let mut text = format!("{:#}", document());
    text.push('\n');
    text
}

/// The schema as a document.
pub(super) fn document() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut document = generator.into_root_schema_for::<RawConfig>().to_value();
    without_null(&mut document);
    document
}

/// TOML has no null: an absent key is simply not written.
fn without_null(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(entries) => {
            entries.values_mut().for_each(without_null);
            // Nor does a section have a default of its own: each of its keys has.
            if entries
                .get("default")
                .is_some_and(|default| default.is_null() || default.is_object())
            {
                entries.remove("default");
            }
            if let Some(Value::Array(types)) = entries.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    entries.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = entries.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type") != Some(&Value::from("null")));
                if let [Value::Object(only)] = choices.as_mut_slice() {
                    let only = std::mem::take(only);
                    entries.remove("anyOf");
                    entries.extend(only);
                }
            }
        }
        _ => {}
    }
}

/// The part of the schema that speaks about one setting.
#[derive(Clone, Copy)]
pub(super) struct Shape<'a> {
    root: &'a Value,
    here: &'a Value,
}

/// What a setting must be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Bool,
    List,
    Table,
}

impl<'a> Shape<'a> {
    /// The shape of the whole configuration.
    pub fn root(document: &'a Value) -> Self {
        Self { root: document, here: document }
    }

    fn at(self, here: &'a Value) -> Self {
        let target = here
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|name| self.root.pointer(name.strip_prefix('#')?));
        Self { here: target.unwrap_or(here), ..self }
    }

    /// The shape of the entry called `name`; `None` is an unknown key.
    pub fn child(self, name: &str) -> Option<Self> {
        let known = match self.kind() {
            Kind::List => name.parse::<usize>().ok().and_then(|_| self.here.get("items")),
            _ => self.names().and_then(|names| names.get(name)),
        };
        let free = || self.here.get("additionalProperties").filter(|shape| shape.is_object());
        known.or_else(free).map(|here| self.at(here))
    }

    /// The keys that a table may have; `None` for a table with names of the user's choice.
    pub fn names(self) -> Option<&'a Map<String, Value>> {
        self.here.get("properties")?.as_object()
    }

    pub fn kind(self) -> Kind {
        match self.here.get("type").and_then(Value::as_str) {
            Some("integer") => Kind::Integer,
            Some("boolean") => Kind::Bool,
            Some("array") => Kind::List,
            Some("object") => Kind::Table,
            _ => Kind::Text,
        }
    }

    /// The closed list of texts, if there is one.
    pub fn choices(self) -> Option<Vec<&'a str>> {
        if let Some(choices) = self.here.get("oneOf").and_then(Value::as_array) {
            // Each word with its description is one of them; those without share a list.
            let words = choices.iter().flat_map(|one| {
                one.get("const")
                    .into_iter()
                    .chain(one.get("enum").and_then(Value::as_array).into_iter().flatten())
            });
            return Some(words.filter_map(Value::as_str).collect());
        }
        let choices = self.here.get("enum")?.as_array()?;
        Some(choices.iter().filter_map(Value::as_str).collect())
    }

    /// Bounds of a whole number.
    pub fn bounds(self) -> (Option<i64>, Option<i64>) {
        let bound = |name| self.here.get(name).and_then(Value::as_i64);
        (bound("minimum"), bound("maximum"))
    }

    /// Whether the setting is a secret.
    pub fn is_secret(self) -> bool {
        self.here.get("writeOnly") == Some(&Value::Bool(true))
    }
}
