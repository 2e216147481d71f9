//! Rules over claims: what passes, what is lacking, where it goes, and what the upstream is told.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::{Lack, Ruling, rule, text};
use crate::config::{ByClaim, ClaimRules, Otherwise, Upstream};
use crate::session::Claims;

fn claims(value: Value) -> Claims {
    let Value::Object(claims) = value else { panic!("no object") };
    claims
}

fn names(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn by_region(missing: Otherwise, unknown: Otherwise) -> ClaimRules {
    let upstream = |host: &str| Upstream {
        tls: true,
        authority: host.to_owned(),
        host: host.to_owned(),
        port: 443,
        prefix: String::new(),
        addresses: Vec::new(),
        trust: None,
        http2: false,
    };
    let upstreams = [("eu", upstream("eu.example.com")), ("7", upstream("seven.example.com"))];
    let upstreams = upstreams.map(|(value, upstream)| (value.to_owned(), upstream)).into();
    let by_claim = Some(ByClaim { claim: "region".to_owned(), upstreams, missing, unknown });
    ClaimRules { by_claim, ..ClaimRules::default() }
}

#[test]
fn every_scope_must_be_granted_and_the_missing_ones_are_named() {
    let rules =
        ClaimRules { scopes: names(&["orders:read", "orders:write"]), ..Default::default() };
    let none = Claims::new();
    assert!(rule(&rules, &["openid", "orders:write", "orders:read"], &none).is_ok());
    let lack = rule(&rules, &["orders:read", "orders:writer", "Orders:write"], &none);
    assert_eq!(lack, Err(Lack::Scopes(names(&["orders:write"]))));
}

#[rstest]
#[case(json!("sales"), true)]
#[case(json!("Sales"), false)]
#[case(json!("sales "), false)]
#[case(json!(["x", "support"]), true)]
#[case(json!(["x", ["sales"]]), false)]
#[case(json!([]), false)]
#[case(json!({ "sales": true }), false)]
#[case(json!(7), true)]
#[case(json!(true), true)]
#[case(json!(false), false)]
#[case(json!(null), false)]
fn a_claim_must_have_one_of_the_values(#[case] value: Value, #[case] passes: bool) {
    let values = names(&["sales", "support", "7", "true"]);
    let rules = ClaimRules { claims: [("dept".to_owned(), values)].into(), ..Default::default() };
    let ruled = rule(&rules, &[], &claims(json!({ "dept": value })));
    assert_eq!(ruled.is_ok(), passes);
    assert!(passes || ruled == Err(Lack::Claims(names(&["dept"]))), "and is named: {ruled:?}");
}

#[rstest]
#[case(json!("x"), true)]
#[case(json!(0), true)]
#[case(json!({}), true)]
#[case(json!(true), true)]
#[case(json!(false), false)]
#[case(json!(null), false)]
#[case(json!([]), false)]
fn without_values_the_claim_must_be_there(#[case] value: Value, #[case] passes: bool) {
    let rules =
        ClaimRules { claims: [("dept".to_owned(), Vec::new())].into(), ..Default::default() };
    assert_eq!(rule(&rules, &[], &claims(json!({ "dept": value }))).is_ok(), passes);
    assert!(rule(&rules, &[], &Claims::new()).is_err());
}

#[rstest]
#[case(json!("eu"), Ok(Some("eu")))]
#[case(json!(["eu"]), Ok(Some("eu")))]
#[case(json!(7), Ok(Some("7")))]
#[case(json!("EU"), Err(Lack::Unknown("region".to_owned())))]
#[case(json!("mars"), Err(Lack::Unknown("region".to_owned())))]
#[case(json!(["eu", "7"]), Err(Lack::Unknown("region".to_owned())))]
#[case(json!({ "eu": 1 }), Err(Lack::Unknown("region".to_owned())))]
#[case(json!(null), Err(Lack::Claims(vec!["region".to_owned()])))]
fn a_claim_chooses_the_upstream(#[case] value: Value, #[case] chosen: Result<Option<&str>, Lack>) {
    let all = claims(json!({ "region": value }));
    let rules = by_region(Otherwise::Refuse, Otherwise::Refuse);
    assert_eq!(rule(&rules, &[], &all).map(|ruling| ruling.upstream), chosen);
    // Where it is said so, whoever has no region of their own goes to the route's.
    let rules = by_region(Otherwise::Upstream, Otherwise::Upstream);
    let ruled = rule(&rules, &[], &all).map(|ruling| ruling.upstream);
    assert_eq!(ruled, Ok(chosen.ok().flatten()));
}

#[test]
fn missing_and_unknown_are_told_apart() {
    let (none, mars) = (Claims::new(), claims(json!({ "region": "mars" })));
    let rules = by_region(Otherwise::Upstream, Otherwise::Refuse);
    assert!(rule(&rules, &[], &none).is_ok() && rule(&rules, &[], &mars).is_err());
    let rules = by_region(Otherwise::Refuse, Otherwise::Upstream);
    assert!(rule(&rules, &[], &none).is_err() && rule(&rules, &[], &mars).is_ok());
}

#[test]
fn the_upstream_is_told_what_there_is() {
    let fields = [("x-region", "region"), ("x-groups", "groups"), ("x-none", "none"), ("x-o", "o")];
    let fields = fields.map(|(field, claim)| (field.to_owned(), claim.to_owned())).to_vec();
    let rules = ClaimRules { fields, ..Default::default() };
    let all = claims(json!({ "region": "eu", "groups": ["a", "b,c"], "o": { "p": 1 } }));
    let told = vec![("x-region", "eu".to_owned()), ("x-groups", "a,b%2Cc".to_owned())];
    assert_eq!(rule(&rules, &[], &all), Ok(Ruling { upstream: None, fields: told }));
}

#[rstest]
#[case(json!("Ann Lee"), "Ann Lee")]
#[case(json!(" x "), "%20x%20")]
#[case(json!("Jürgen"), "J%C3%BCrgen")]
#[case(json!("a\r\nX-Admin: 1"), "a%0D%0AX-Admin: 1")]
#[case(json!("100%,ok"), "100%25,ok")]
#[case(json!(["100%,ok", 5, true]), "100%25%2Cok,5,true")]
#[case(json!(-1.5), "-1.5")]
#[case(json!(""), "")]
fn a_value_is_printable_ascii(#[case] value: Value, #[case] written: &str) {
    assert_eq!(text(&value).as_deref(), Some(written));
}

proptest! {
    #[test]
    fn whatever_a_claim_holds_is_one_field_value_and_comes_back(claim in any::<String>()) {
        let written = text(&Value::from(claim.as_str())).unwrap();
        prop_assert!(written.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
        prop_assert_eq!(written.trim(), written.as_str());
        let back = percent_encoding::percent_decode_str(&written).decode_utf8().unwrap();
        prop_assert_eq!(back, claim);
    }

    #[test]
    fn a_list_has_as_many_items_as_it_has(items in prop::collection::vec(any::<String>(), 1..5)) {
        let written = text(&Value::from(items.clone())).unwrap();
        let back: Vec<String> = written
            .split(',')
            .map(|item| percent_encoding::percent_decode_str(item).decode_utf8().unwrap().into())
            .collect();
        prop_assert_eq!(back, items);
    }
}

#[test]
fn rules_name_what_they_look_at() {
    let mut rules = by_region(Otherwise::Refuse, Otherwise::Refuse);
    rules.claims = BTreeMap::from([("dept".to_owned(), Vec::new())]);
    rules.fields = vec![("x-sub".to_owned(), "sub".to_owned())];
    assert_eq!(rules.names().collect::<Vec<_>>(), ["dept", "sub", "region"]);
    assert!(!rules.is_empty() && ClaimRules::default().is_empty());
}
