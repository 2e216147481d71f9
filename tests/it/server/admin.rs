//! The admin listener, and a start while the authorization server is down.

use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::stack::{LINK, Setup, Stack};

// proves: EL-07
#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_are_on_a_listener_of_their_own() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    for (path, holds) in [
        ("/livez", "ok"),
        ("/readyz", "\"ready\":true"),
        ("/version", env!("CARGO_PKG_VERSION")),
        ("/metrics", "cloakroom_logins_total{result=\"Succeeded\"} 1"),
    ] {
        let page = browser.get(&format!("{}{path}", stack.admin)).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.body.contains(holds), "{path}: {}", page.body);
        assert_eq!(stack.fetch(&browser, "GET", path).await.status, 404, "not on the app listener");
        let elsewhere = browser
            .send("GET", &format!("{}{path}", stack.admin), &[("host", "evil.test")], "")
            .await;
        assert_eq!(elsewhere.status, 421, "{path}: a foreign Host");
    }
    for host in ["cloakroom.internal", "CLOAKROOM.internal:9090", "localhost"] {
        let url = format!("{}/livez", stack.admin);
        assert_eq!(browser.send("GET", &url, &[("host", host)], "").await.status, 200, "{host}");
    }
    assert_eq!(browser.send("POST", &format!("{}/livez", stack.admin), &[], "").await.status, 405);
    stack.stop().await;
}

// proves: EL-06
#[tokio::test(flavor = "multi_thread")]
async fn the_service_starts_and_is_ready_while_the_authorization_server_is_down() {
    let setup = Setup { issuer: Some("http://127.0.0.1:9".to_owned()), ..Setup::default() };
    let stack = Stack::start(setup).await;
    let browser = Browser::new();
    let page = browser.send("GET", &stack.url("/login"), &LINK, "").await;
    assert_eq!(page.status, 503);
    assert!(page.headers.contains_key("retry-after"));
    assert!(page.body.contains("provider_unavailable"), "{}", page.body);
    let ready: Value =
        serde_json::from_str(&browser.get(&format!("{}/readyz", stack.admin)).await.body).unwrap();
    assert_eq!(ready["ready"], true);
    assert_eq!(ready["apps"]["app"]["status"], "degraded");
    until_metric(&stack, "cloakroom_provider_degraded{app=\"app\",provider=\"default\"} 1").await;
    assert_eq!(stack.session(&browser).await["authenticated"], false);
    assert_eq!(stack.fetch(&browser, "GET", "/public/hello").await.status, 200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_works_is_known_to_work_before_the_first_login() {
    let stack = Stack::start(Setup::default()).await;
    until_metric(&stack, "cloakroom_provider_degraded{app=\"app\",provider=\"default\"} 0").await;
    let ready = Browser::new().get(&format!("{}/readyz", stack.admin)).await.body;
    assert!(ready.contains("\"status\":\"ok\""), "{ready}");
    stack.stop().await;
}

async fn until_metric(stack: &Stack, line: &str) {
    let mut metrics = String::new();
    for _ in 0..500 {
        metrics = Browser::new().get(&format!("{}/metrics", stack.admin)).await.body;
        if metrics.contains(line) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no {line}: {metrics}");
}
