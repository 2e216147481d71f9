//! Reads JSON that comes from the network: an object, each member once, nested at most [`DEEPEST`] levels (AR-08).
//! Never guesses: two members of one name have no agreed meaning, so the whole text is refused.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deepest nesting of objects and arrays.
const DEEPEST: usize = 32;

/// The text is not a JSON object by the rules above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object with unique members")]
pub(super) struct NotAnObject;

/// Parses one JSON object and nothing after it.
pub(super) fn object(text: &[u8]) -> Result<Map<String, Value>, NotAnObject> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict { depth: 0 }.deserialize(&mut reader).map_err(|_| NotAnObject)?;
    reader.end().map_err(|_| NotAnObject)?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(NotAnObject),
    }
}

/// A value `depth` levels down.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn below<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == DEEPEST {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            out.push(item);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut out = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(below)?;
            if out.insert(name, value).is_some() {
                return Err(de::Error::custom("a member came twice"));
            }
        }
        Ok(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    // proves: AR-08
    #[rstest]
    #[case::twice(r#"{"a":1,"a":1}"#)]
    #[case::twice_by_escape(r#"{"a":1,"\u0061":2}"#)]
    #[case::twice_further_down(r#"{"k":[{"a":1,"a":2}]}"#)]
    #[case::array("[]")]
    #[case::text("\"{}\"")]
    #[case::nothing("")]
    #[case::more_after("{} {}")]
    #[case::comma("{\"a\":1,}")]
    #[case::infinite("{\"a\":1e999}")]
    #[case::html("<html></html>")]
    fn what_is_no_plain_object_is_refused(#[case] text: &str) {
        assert_eq!(object(text.as_bytes()), Err(NotAnObject));
    }

    // proves: AR-08
    #[test]
    fn nesting_is_bounded() {
        let nested = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(object(nested(DEEPEST - 1).as_bytes()).is_ok());
        assert_eq!(object(nested(DEEPEST).as_bytes()), Err(NotAnObject));
        assert_eq!(object(nested(100_000).as_bytes()), Err(NotAnObject));
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused_without_panic(bytes: Vec<u8>) {
            let _ = object(&bytes);
        }

        #[test]
        fn an_object_survives(members in prop::collection::btree_map("\\PC{0,8}", any::<i64>(), 0..8)) {
            let text = serde_json::to_vec(&members).unwrap();
            let back = object(&text).unwrap();
            prop_assert_eq!(serde_json::to_value(&members).unwrap(), Value::Object(back));
        }
    }
}
