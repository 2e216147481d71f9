//! The authorization server's answer in a form: posted by another site it brings no cookie, so it is posted once more by us.

use super::problem_code;
use super::setup::{error_of, hostile_with};
use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::HostileOp;
use crate::support::html::forms;
use crate::support::stack::{Setup, Stack};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const ELSEWHERE: [(&str, &str); 2] = [FORM, ("sec-fetch-site", "cross-site")];
const HERE: [(&str, &str); 2] = [FORM, ("sec-fetch-site", "same-origin")];

async fn started(provider: &str) -> (HostileOp, Stack) {
    hostile_with(Setup { provider: provider.to_owned(), ..Setup::default() }).await
}

/// What the authorization server's page posts.
fn answer(op: &HostileOp, authorize: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(op.authorize(authorize)).finish()
}

/// Posts to the callback as a browser does: another site's form without cookies.
async fn post(stack: &Stack, browser: &Browser, body: &str, from_here: bool) -> Page {
    let url = stack.url("/callback");
    if from_here {
        browser.send("POST", &url, &HERE, body).await
    } else {
        Browser::new().send("POST", &url, &ELSEWHERE, body).await
    }
}

// proves: CB-11, CB-12
#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_is_posted_once_more_by_a_page_of_ours() {
    let (op, stack) = started("response_mode = \"form_post\"").await;
    let browser = Browser::new();
    let authorize = stack.begin_login(&browser, "?return_to=/there").await;
    assert!(authorize.contains("response_mode=form_post"), "{authorize}");
    let body = answer(&op, &authorize) + "&error_description=%3Cscript%3E&session_state=x";
    let page = post(&stack, &browser, &body, false).await;
    assert_eq!(
        (page.status.as_u16(), &page.headers["cache-control"]),
        (200, &"no-store".parse().unwrap())
    );
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'")
            && policy.ends_with(&format!("form-action 'self' {}", stack.app)),
        "{policy}"
    );
    assert!(!policy.contains("unsafe") && !page.headers.contains_key("set-cookie"));
    assert!(!page.body.contains("session_state") && !page.body.contains("%3C"), "{}", page.body);
    let [again] = &forms(&page.body)[..] else { panic!("one form: {}", page.body) };
    assert_eq!((again.action.as_str(), again.post), ("/callback", true));
    let fields = again.inputs.iter().map(|input| (input.name.as_str(), input.value.as_str()));
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let landed = post(&stack, &browser, &body, true).await;
    assert_eq!(landed.status, 303, "never 307: a form is not sent on");
    assert_eq!(landed.headers["location"].to_str().unwrap(), stack.url("/there"));
    assert_eq!(stack.session(&browser).await["authenticated"], true);

    // Our page's form without a cookie is no reason for another page.
    let nobody = Browser::new();
    let lost = post(&stack, &nobody, &body, true).await;
    assert_eq!(error_of(&lost).as_deref(), Some("login_cookie_missing"));
    stack.stop().await;
}

// proves: CB-12
#[tokio::test(flavor = "multi_thread")]
async fn only_a_small_form_is_read_and_only_where_one_was_asked_for() {
    let (_op, stack) = started("response_mode = \"form_post\"").await;
    let url = stack.url("/callback");
    for (media_type, body) in [
        ("application/json", "{\"state\":\"x\"}".to_owned()),
        ("text/plain", "state=x&code=y".to_owned()),
        ("multipart/form-data; boundary=x", "--x--".to_owned()),
        ("application/x-www-form-urlencoded", format!("state=x&code={}", "y".repeat(20_000))),
    ] {
        let page = Browser::new().send("POST", &url, &[("content-type", media_type)], &body).await;
        assert_eq!(
            (page.status.as_u16(), problem_code(&page).as_str()),
            (400, "bad_request"),
            "{media_type}"
        );
    }
    for body in [
        "state=a&state=b&code=c&cloakroom_again=1",
        "code=c&cloakroom_again=1",
        "cloakroom_again=1",
    ] {
        let page = post(&stack, &Browser::new(), body, false).await;
        assert_eq!(error_of(&page).as_deref(), Some("login_failed"), "{body}");
    }
    stack.stop().await;
    let (_op, stack) = started("").await;
    let page = post(&stack, &Browser::new(), "state=a&code=b", false).await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (405, "method_not_allowed"));
    assert_eq!(page.headers["allow"], "GET");
    stack.stop().await;
}

// proves: CB-05, CB-12
#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_a_form_is_one_and_the_session_of_before_goes_on() {
    let (op, stack) = started("response_mode = \"form_post\"").await;
    let browser = Browser::new();
    let authorize = stack.begin_login(&browser, "?return_to=/").await;
    let state = op.authorize(&authorize).into_iter().find(|(name, _)| name == "state").unwrap().1;
    let issuer = op.issuer.clone();
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("error", "login_required"), ("state", &state), ("iss", &issuer)])
        .finish();
    let landed = post(&stack, &browser, &body, true).await;
    assert_eq!(error_of(&landed).as_deref(), Some("interaction_needed"));
    stack.stop().await;
}
