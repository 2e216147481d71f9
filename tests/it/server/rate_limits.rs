//! Who comes too often waits, and nobody else does.

use super::problem_code;
use super::setup::{hostile_with, log_in};
use crate::support::browser::Browser;
use crate::support::hostile_upstream::{HostileUpstream, ok};
use crate::support::stack::{LINK, Setup, Stack};

async fn login(stack: &Stack, from: &str) -> u16 {
    let headers = [&LINK[..], &[("x-forwarded-for", from)]].concat();
    let page = Browser::new().send("GET", &stack.url("/login"), &headers, "").await;
    if page.status == 429 {
        let wait: u32 = page.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1100..=1200).contains(&wait), "{wait}");
        assert_eq!(page.headers["cloakroom-error"], "rate_limited");
        assert!(page.body.contains("rate_limited"), "a page for whoever navigates");
    }
    page.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_logs_in_too_often_waits_and_others_do_not() {
    let setup = Setup {
        server: "trusted_proxies = [\"127.0.0.1/32\"]".to_owned(),
        more: "[limits]\nlogin = \"3/h\"\ncallback = \"2/h\"\nbackchannel = \"1/h\"".to_owned(),
        ..Setup::default()
    };
    let (_op, stack) = hostile_with(setup).await;
    for _ in 0..3 {
        assert_eq!(login(&stack, "192.0.2.1").await, 303);
    }
    assert_eq!(login(&stack, "192.0.2.1").await, 429);
    assert_eq!(login(&stack, "192.0.2.2").await, 303);
    // Nobody has more than one IPv6 client in a network of theirs.
    for n in 0..3 {
        assert_eq!(login(&stack, &format!("2001:db8::{n}")).await, 303);
    }
    assert_eq!(login(&stack, "2001:db8::ffff").await, 429);
    // A forged address before the proxy's own is believed of nobody.
    assert_eq!(login(&stack, "198.51.100.9, 192.0.2.1").await, 429);

    for (method, path, times) in
        [("GET", "/callback?code=x&state=y", 2), ("POST", "/backchannel-logout", 1)]
    {
        let send = async || {
            let headers = [("content-type", "application/x-www-form-urlencoded")];
            let page = Browser::new().send(method, &stack.url(path), &headers, "").await;
            page.status.as_u16()
        };
        for _ in 0..times {
            assert_ne!(send().await, 429, "{path}");
        }
        assert_eq!(send().await, 429, "{path}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_calls_too_often_waits_and_stays_one() {
    let api = HostileUpstream::answering(ok("fine")).await;
    let more = format!(
        "[[routes]]\npath = \"/dear\"\nupstream = \"http://{}\"\nsession_rate = \"2/h\"\n\
         [[routes]]\npath = \"/cheap\"\nupstream = \"http://{}\"\n",
        api.address, api.address
    );
    let (op, stack) = hostile_with(Setup { more, ..Setup::default() }).await;
    let (alice, bob) = (Browser::new(), Browser::new());
    log_in(&op, &stack, &alice).await;
    log_in(&op, &stack, &bob).await;
    for _ in 0..2 {
        assert_eq!(stack.fetch(&alice, "POST", "/dear/x").await.status, 200);
    }
    let page = stack.fetch(&alice, "POST", "/dear/other").await;
    assert_eq!((page.status.as_u16(), problem_code(&page)), (429, "rate_limited".to_owned()));
    assert!(page.headers.contains_key("retry-after"));
    assert_eq!(api.requests().len(), 2, "what is refused reaches no API");
    assert_eq!(stack.fetch(&bob, "POST", "/dear/x").await.status, 200);
    let other = stack.fetch(&alice, "GET", "/cheap/x").await;
    assert_eq!(other.status, 200, "other routes are not in its way");
    assert_eq!(stack.session(&alice).await["authenticated"], true);
    let metrics = Browser::new().get(&format!("{}/metrics", stack.admin)).await.body;
    assert!(metrics.contains("code=\"rate_limited\"} 1"), "{metrics}");
    stack.stop().await;
}
