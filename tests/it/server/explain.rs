//! An answer to every "why": what a code means, and what a running process saw of a request that it refused.

use std::path::Path;
use std::process::Output;

use cloakroom::edge::{AuthError, Code};
use tokio::process::Command;

use super::control::with_socket;
use super::problem_code;
use super::setup::{error_of, hostile_with, log_in};
use crate::support::browser::{Browser, Page};
use crate::support::stack::{FETCH, Setup, Stack};

async fn explain(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
    command.arg("explain").args(arguments).output().await.unwrap()
}

async fn told(what: &str, socket: &Path) -> String {
    let output = explain(&[what, "--socket", socket.to_str().unwrap()]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn id(page: &Page) -> String {
    page.headers["x-request-id"].to_str().unwrap().to_owned()
}

async fn call(stack: &Stack, browser: &Browser, headers: &[(&str, &str)]) -> Page {
    browser.send("GET", &stack.url("/api/orders?secret=4711"), headers, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_is_explained_without_a_process() {
    let codes = Code::ALL.map(Code::as_str);
    let causes = AuthError::ALL.map(AuthError::as_str);
    for code in [codes[0], codes[5], codes[32], causes[0], causes[16]] {
        let output = explain(&[code]).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.starts_with(code), "{text}");
    }
    let both = explain(&["provider_unavailable"]).await;
    assert_eq!(
        String::from_utf8(both.stdout).unwrap().matches("provider_unavailable (").count(),
        2
    );
    for (wrong, part) in [("no_such_code", "name the process"), ("../x", "neither a code")] {
        let output = explain(&[wrong]).await;
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(part), "{said}");
    }
}

// proves: EL-03
#[tokio::test(flavor = "multi_thread")]
async fn a_process_says_what_it_saw_of_a_request_that_it_refused() {
    let (socket, setup) = with_socket("explain", Setup::default());
    let (op, stack) = hostile_with(setup).await;
    let browser = Browser::new();
    log_in(&op, &stack, &browser).await;

    let without = call(&stack, &browser, &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(problem_code(&without), "csrf_header_missing");
    let text = told(&id(&without), &socket).await;
    for line in [
        "GET /api/orders of app app",
        "csrf_header_missing (status 403)",
        "mend: Send the header X-CSRF: 1",
        "x-csrf: absent",
        "origin: absent",
        "sec-fetch-site: same-origin",
        "session cookies: 1 of the record, 1 of activity, 0 tickets",
        "session: open",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    assert!(!text.contains("4711"), "without the query: {text}");
    for (name, value) in browser.jar() {
        assert!(!text.contains(&value), "the value of {name} is in {text}");
    }

    let foreign = [("x-csrf", "1"), ("origin", "https://evil.example"), ("sec-fetch-site", "<b>")];
    let foreign = call(&stack, &browser, &foreign).await;
    let text = told(&id(&foreign), &socket).await;
    assert!(text.contains("origin: one that is not listed"), "{text}");
    assert!(text.contains("sec-fetch-site: a word that browsers do not send"), "{text}");
    assert!(!text.contains("evil") && !text.contains("<b>"), "{text}");

    let thief = browser.copy();
    stack.fetch(&browser, "POST", "/logout").await;
    let ended = call(&stack, &thief, &FETCH).await;
    assert_eq!(problem_code(&ended), "session_expired");
    let text = told(&id(&ended), &socket).await;
    assert!(text.contains("session: was ended: by a logout"), "{text}");
    let nobody = call(&stack, &Browser::new(), &FETCH).await;
    assert!(told(&id(&nobody), &socket).await.contains("session: no cookie of one"));

    // A login whose cookie got lost: the page that the user lands on has the id.
    let authorize = stack.begin_login(&browser, "?return_to=/").await;
    let callback = super::setup::callback(&op, &authorize, &stack.url("/callback"));
    let lost = Browser::new().get_from_elsewhere(&callback).await;
    assert_eq!(error_of(&lost).as_deref(), Some("login_cookie_missing"));
    let text = told(&id(&lost), &socket).await;
    assert!(
        text.contains("GET /callback of app app") && text.contains("login cookies: 0"),
        "{text}"
    );
    assert!(text.contains("parameters: code state"), "{text}");
    let output = explain(&["abcdefghijklmnop", "--socket", socket.to_str().unwrap()]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("remembers no refusal"), "{said}");
    stack.stop().await;
}
