//! Request parameters, from a query or a form. A name that comes twice refuses the request (RFC 6749 section 3.1):
//! two readers that pick different ones would see two requests. An empty value counts as absent, as the RFC says.

use std::collections::BTreeMap;

/// Parameters with one value each. No `Debug`: among them may be secrets.
#[derive(Clone, Default)]
pub struct Params(BTreeMap<String, String>);

/// More parameters than any request of ours has.
const MOST: usize = 64;

/// A parameter came twice, or there are far too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Params {
    /// Parses `application/x-www-form-urlencoded` text.
    pub fn parse(raw: &[u8]) -> Result<Self, Malformed> {
        let mut found = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(raw) {
            if found.len() >= MOST || found.insert(name.into_owned(), value.into_owned()).is_some()
            {
                return Err(Malformed);
            }
        }
        found.retain(|_, value| !value.is_empty());
        Ok(Self(found))
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// As a query again, names in order.
    pub fn to_query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_twice_refuses_the_request_even_with_the_same_value() {
        assert!(Params::parse(b"a=1&a=1").is_err());
        assert!(Params::parse(b"a=1&%61=2").is_err());
    }

    #[test]
    fn empty_values_count_as_absent_and_the_rest_survives_a_round_trip() {
        let params = Params::parse(b"b=%C3%A4+%26&a=&c=3").ok().unwrap();
        assert_eq!((params.get("a"), params.get("b")), (None, Some("ä &")));
        let again = Params::parse(params.to_query().as_bytes()).ok().unwrap();
        assert_eq!((again.get("b"), again.get("c")), (Some("ä &"), Some("3")));
    }

    #[test]
    fn more_parameters_than_a_request_can_have_are_refused() {
        let raw: Vec<String> = (0..100).map(|i| format!("p{i}=1")).collect();
        assert!(Params::parse(raw.join("&").as_bytes()).is_err());
    }
}
