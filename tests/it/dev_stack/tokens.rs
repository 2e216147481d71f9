//! The token endpoint, revocation and introspection.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;

use super::{
    CALLBACK, CHALLENGE, DevStackOptions, Fixture, SECRET, VERIFIER, claims, options, text,
};

#[rstest]
#[case::wrong_verifier("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXX")]
#[case::challenge_as_verifier("code_verifier", CHALLENGE)]
#[case::other_redirect_uri("redirect_uri", "http://localhost:65001/other")]
#[case::other_code("code", "AAAA")]
#[tokio::test]
async fn a_code_without_its_proof_is_refused(#[case] name: &str, #[case] value: &str) {
    let fixture = Fixture::start().await;
    let code = fixture.code("alice").await;
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    fields.retain(|(n, _)| *n != name);
    fields.push((name, value));
    let (status, told) = fixture.token(&fields).await;
    assert_eq!((status, &told["error"]), (400, &json!("invalid_grant")));
    let spent = name != "code";
    let (status, _) = fixture.exchange(&code).await;
    assert_eq!(status == 400, spent, "a failed proof spends the code");
}

#[tokio::test]
async fn a_code_works_once_and_its_second_use_ends_the_grant() {
    let fixture = Fixture::start().await;
    let code = fixture.code("alice").await;
    let (_, tokens) = fixture.exchange(&code).await;
    let refresh_token = text(&tokens, "refresh_token");
    assert!(fixture.is_active(refresh_token).await);
    let (status, told) = fixture.exchange(&code).await;
    assert_eq!((status, &told["error"]), (400, &json!("invalid_grant")));
    assert!(!fixture.is_active(refresh_token).await);
    assert!(!fixture.is_active(text(&tokens, "access_token")).await);
    assert_eq!(fixture.stack.calls().code_exchanges, 2);
}

#[tokio::test]
async fn a_code_lives_for_a_minute() {
    let fixture = Fixture::start().await;
    let (young, old) = (fixture.code("alice").await, fixture.code("alice").await);
    fixture.clock.advance(Duration::from_secs(59));
    assert_eq!(fixture.exchange(&young).await.0, 200);
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.exchange(&old).await.0, 400);
}

#[rstest]
#[case::basic(Some(SECRET), None, 200)]
#[case::post(None, Some(SECRET), 200)]
#[case::wrong_basic(Some("wrong"), None, 401)]
#[case::wrong_post(None, Some("wrong"), 401)]
#[case::none(None, None, 401)]
#[case::both(Some(SECRET), Some(SECRET), 400)]
#[tokio::test]
async fn the_client_proves_itself_in_exactly_one_way(
    #[case] basic: Option<&str>,
    #[case] post: Option<&str>,
    #[case] expected: u16,
) {
    let fixture = Fixture::start().await;
    let tokens = fixture.tokens("alice").await;
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let token = text(&tokens, "refresh_token");
    for (path, field) in
        [("/token", "refresh_token"), ("/introspect", "token"), ("/revoke", "token")]
    {
        let mut fields =
            vec![("grant_type", "refresh_token"), ("client_id", "web"), (field, token)];
        fields.extend(post.map(|secret| ("client_secret", secret)));
        let mut request = fixture.client.post(fixture.at(path)).form(&fields);
        if let Some(secret) = basic {
            request = request.basic_auth("web", Some(encode(secret)));
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), expected, "{path}");
        assert_eq!(answer.headers().contains_key("www-authenticate"), expected == 401, "{path}");
    }
}

#[tokio::test]
async fn without_rotation_a_refresh_token_works_again_and_again() {
    let fixture = Fixture::start().await;
    let tokens = fixture.tokens("bob").await;
    for _ in 0..3 {
        fixture.clock.advance(Duration::from_secs(3600));
        let (status, fresh) = fixture.refresh(text(&tokens, "refresh_token")).await;
        assert_eq!((status, &fresh["refresh_token"]), (200, &json!(null)));
        let (before, after) = (claims(text(&tokens, "id_token")), claims(text(&fresh, "id_token")));
        for same in ["iss", "sub", "aud", "auth_time", "sid"] {
            assert_eq!(before[same], after[same], "{same}");
        }
        assert_eq!(fixture.userinfo(text(&fresh, "access_token")).await.0, 200);
    }
    assert_eq!(fixture.stack.calls().refreshes, 3);
    fixture.clock.advance(Duration::from_secs(14 * 24 * 3600));
    assert_eq!(fixture.refresh(text(&tokens, "refresh_token")).await.0, 400, "grants end");
}

#[tokio::test]
async fn with_rotation_every_refresh_token_works_once_and_reuse_ends_the_grant() {
    let fixture = Fixture::with(DevStackOptions { rotate: true, ..options() }).await;
    let first = fixture.tokens("alice").await;
    let (_, second) = fixture.refresh(text(&first, "refresh_token")).await;
    let (status, third) = fixture.refresh(text(&second, "refresh_token")).await;
    assert_eq!(status, 200);
    assert!(fixture.is_active(text(&third, "refresh_token")).await);
    assert!(!fixture.is_active(text(&second, "refresh_token")).await);

    let (status, told) = fixture.refresh(text(&first, "refresh_token")).await;
    assert_eq!((status, &told["error"]), (400, &json!("invalid_grant")));
    assert_eq!(
        fixture.refresh(text(&third, "refresh_token")).await.0,
        400,
        "the newest is dead too"
    );
    assert_eq!(fixture.userinfo(text(&third, "access_token")).await.0, 401);
}

#[tokio::test]
async fn a_refresh_may_ask_for_less_never_for_more_and_a_wrong_wish_costs_nothing() {
    let fixture = Fixture::with(DevStackOptions { rotate: true, ..options() }).await;
    let tokens = fixture.tokens("alice").await;
    let refresh = text(&tokens, "refresh_token");
    let with_scope =
        |scope| [("grant_type", "refresh_token"), ("refresh_token", refresh), ("scope", scope)];
    let (status, told) = fixture.token(&with_scope("openid admin")).await;
    assert_eq!((status, &told["error"]), (400, &json!("invalid_scope")));
    let (status, told) = fixture.token(&with_scope("openid")).await;
    assert_eq!((status, &told["scope"]), (200, &json!("openid")));
    let (_, user) = fixture.userinfo(text(&told, "access_token")).await;
    assert_eq!(user, json!({ "sub": "alice" }));
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_the_grant_and_an_unknown_token_is_no_error() {
    let fixture = Fixture::start().await;
    let tokens = fixture.tokens("alice").await;
    let other = fixture.tokens("alice").await;
    let (refresh, access) = (text(&tokens, "refresh_token"), text(&tokens, "access_token"));
    for _ in 0..2 {
        assert_eq!(fixture.post("/revoke", &[("token", refresh)]).await.0, 200);
    }
    assert_eq!(fixture.post("/revoke", &[("token", "never-seen")]).await.0, 200);
    assert_eq!(fixture.post("/revoke", &[("hint", "no token")]).await.0, 400);
    assert!(!fixture.is_active(refresh).await && !fixture.is_active(access).await);
    assert_eq!(fixture.refresh(refresh).await.0, 400);
    assert!(fixture.is_active(text(&other, "refresh_token")).await, "other logins are left alone");
    assert_eq!(fixture.stack.calls().revocations, 4);
}

#[tokio::test]
async fn revoking_an_access_token_ends_only_that_token() {
    let fixture = Fixture::start().await;
    let tokens = fixture.tokens("alice").await;
    let access = text(&tokens, "access_token");
    let fields = [("token", access), ("token_type_hint", "refresh_token")];
    assert_eq!(fixture.post("/revoke", &fields).await.0, 200);
    assert!(!fixture.is_active(access).await);
    assert_eq!(fixture.userinfo(access).await.0, 401);
    assert_eq!(fixture.refresh(text(&tokens, "refresh_token")).await.0, 200);
}

#[tokio::test]
async fn introspection_tells_claims_of_live_tokens_and_nothing_of_others() {
    let (fixture, foreign) = (Fixture::start().await, Fixture::start().await);
    let tokens = fixture.tokens("bob").await;
    let (_, told) = fixture.post("/introspect", &[("token", text(&tokens, "access_token"))]).await;
    assert_eq!(
        (&told["active"], &told["sub"], &told["region"]),
        (&json!(true), &json!("bob"), &json!("us"))
    );
    let foreign = foreign.tokens("bob").await;
    for dead in [
        text(&foreign, "access_token"),
        text(&foreign, "refresh_token"),
        text(&tokens, "id_token"),
        "x",
    ] {
        let (_, told) = fixture.post("/introspect", &[("token", dead)]).await;
        assert_eq!(told, json!({ "active": false }));
    }
    fixture.clock.advance(Duration::from_secs(300));
    assert!(!fixture.is_active(text(&tokens, "access_token")).await, "expired");
}
