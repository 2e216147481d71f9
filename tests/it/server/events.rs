//! `GET /events`: what becomes of a session is told to those who listen, and listening changes nothing.

use std::time::Duration;

use serde_json::{Value, json};

use super::{problem_code, set_cookies};
use crate::support::browser::Browser;
use crate::support::socket::Socket;
use crate::support::stack::{Setup, Stack};

/// Opens the stream as the app's page does; the head is read, too.
async fn ask(stack: &Stack, browser: &Browser) -> (Socket, String) {
    let cookies: Vec<String> =
        browser.jar().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = format!(
        "GET /events HTTP/1.1\r\nhost: localhost:{}\r\nx-csrf: 1\r\nsec-fetch-site: same-origin\r\n\
         accept: text/event-stream\r\ncookie: {}\r\n\r\n",
        stack.port,
        cookies.join("; ")
    );
    let mut socket = Socket::sending(stack, request).await;
    let head = socket.head().await;
    (socket, head)
}

/// An open stream.
pub struct Listening(Socket);

impl Listening {
    async fn to(stack: &Stack, browser: &Browser) -> Self {
        let (socket, head) = ask(stack, browser).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(!head.to_ascii_lowercase().contains("set-cookie"), "{head}");
        Self(socket)
    }

    /// As above, with the first event read.
    pub async fn opened(stack: &Stack, browser: &Browser) -> Self {
        let mut stream = Self::to(stack, browser).await;
        assert_eq!(stream.event().await.0, "open");
        stream
    }

    /// What comes next as it is; empty at the clean end.
    async fn chunk(&mut self) -> String {
        let mut length = String::new();
        while !length.ends_with("\r\n") {
            length.push(char::from(self.0.exactly(1).await[0]));
        }
        let length = usize::from_str_radix(length.trim_end(), 16).unwrap();
        let chunk = self.0.exactly(length + 2).await;
        String::from_utf8(chunk[..length].to_vec()).unwrap()
    }

    /// The next event and its data; heartbeats are passed over.
    pub async fn event(&mut self) -> (String, Value) {
        let mut text = self.chunk().await;
        while text.starts_with(':') {
            text = self.chunk().await;
        }
        let (name, data) = text.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        assert!(data.ends_with("\n\n"), "{text:?}");
        (name.to_owned(), serde_json::from_str(data).unwrap())
    }

    async fn ends_as_logged_out(mut self, reason: &str) {
        assert_eq!(self.event().await, ("logged-out".to_owned(), json!({ "reason": reason })));
        assert_eq!(self.chunk().await, "", "a clean end");
    }
}

async fn logged_in(setup: Setup) -> (Stack, Browser) {
    let stack = Stack::start(setup).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    (stack, browser)
}

/// The gauge of open streams.
async fn open_streams(stack: &Stack) -> usize {
    let text = Browser::new().get(&format!("{}/metrics", stack.admin)).await.body;
    let line = text.lines().find_map(|line| line.strip_prefix("cloakroom_event_streams_open "));
    line.unwrap().parse().unwrap()
}

async fn none_is_open(stack: &Stack) {
    for _ in 0..1_000 {
        if open_streams(stack).await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} are still open", open_streams(stack).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_says_what_session_says_and_is_not_stored_or_held_back() {
    let (stack, browser) = logged_in(Setup::default()).await;
    let (socket, head) = ask(&stack, &browser).await;
    let head = head.to_ascii_lowercase();
    for line in [
        "content-type: text/event-stream\r\n",
        "cache-control: no-store, no-transform\r\n",
        "x-accel-buffering: no\r\n",
        "x-content-type-options: nosniff\r\n",
    ] {
        assert!(head.contains(line), "{line}: {head}");
    }
    let (name, times) = Listening(socket).event().await;
    assert_eq!(name, "open");
    let session = stack.session(&browser).await;
    for name in ["access_token_expires_in", "session_expires_in", "idle_expires_in"] {
        assert_eq!(times[name], session[name], "{name}");
    }
    stack.stop().await;
}

// proves: CS-02, CS-04, CS-05
#[tokio::test(flavor = "multi_thread")]
async fn only_the_apps_own_pages_listen_and_only_with_a_session() {
    let (stack, browser) = logged_in(Setup::default()).await;
    let url = stack.url("/events");
    for (headers, code) in [
        (vec![("sec-fetch-site", "same-origin")], "csrf_header_missing"),
        (vec![("x-csrf", "1"), ("sec-fetch-site", "cross-site")], "csrf_fetch_site"),
        (vec![("x-csrf", "1"), ("sec-fetch-site", "none")], "csrf_fetch_site"),
        (vec![("x-csrf", "1"), ("origin", "https://evil.test")], "csrf_origin"),
    ] {
        let page = browser.send("GET", &url, &headers, "").await;
        assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (403, code));
    }
    let page = stack.fetch(&Browser::new(), "GET", "/events").await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (401, "not_logged_in"));
    for method in ["HEAD", "POST", "DELETE"] {
        let page = stack.fetch(&browser, method, "/events").await;
        assert_eq!((page.status.as_u16(), page.headers["allow"].to_str().unwrap()), (405, "GET"));
    }
    let copy = browser.copy();
    stack.fetch(&browser, "POST", "/logout").await;
    let page = stack.fetch(&copy, "GET", "/events").await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (401, "session_expired"));
    assert!(set_cookies(&page).is_empty(), "a login may be replacing them at this moment");
    assert_eq!(open_streams(&stack).await, 0);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_is_told_to_its_own_session_at_once() {
    let (stack, browser) = logged_in(Setup::default()).await;
    let other = Browser::new();
    stack.log_in(&other, "bob").await;
    let mut bobs = Listening::opened(&stack, &other).await;
    let streams =
        [Listening::opened(&stack, &browser).await, Listening::opened(&stack, &browser).await];
    assert_eq!(open_streams(&stack).await, 3);
    stack.fetch(&browser, "POST", "/logout").await;
    for stream in streams {
        stream.ends_as_logged_out("session_ended").await;
    }
    // Bob's goes on: the next that he hears is a heartbeat.
    stack.clock.advance(Duration::from_secs(25));
    assert_eq!(bobs.chunk().await, ":\n\n");
    drop(bobs);
    none_is_open(&stack).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_login_of_the_same_browser_ends_the_stream_of_the_session_that_it_replaces() {
    let (stack, browser) = logged_in(Setup::default()).await;
    let stream = Listening::opened(&stack, &browser).await;
    stack.log_in(&browser, "bob").await;
    stream.ends_as_logged_out("session_ended").await;
    let mut next = Listening::opened(&stack, &browser).await;
    stack.clock.advance(Duration::from_secs(25));
    assert_eq!(next.chunk().await, ":\n\n");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_absolute_end_is_announced_and_then_told() {
    let session = "max_age = \"1h\"\nidle_timeout = \"1h\"".to_owned();
    let (stack, browser) = logged_in(Setup { session, ..Setup::default() }).await;
    let mut stream = Listening::opened(&stack, &browser).await;
    stack.clock.advance(Duration::from_secs(3_600 - 120));
    let (name, data) = stream.event().await;
    assert_eq!(name, "expiring");
    assert_eq!(data, json!({ "what": "session", "seconds_left": 120 }));
    stack.clock.advance(Duration::from_secs(120));
    stream.ends_as_logged_out("session_expired").await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_by_any_request_of_the_session_is_told_and_a_refused_grant_is_a_logout() {
    let (op, stack) = super::setup::hostile_with(Setup::default()).await;
    let (browser, other) = (Browser::new(), Browser::new());
    super::setup::log_in(&op, &stack, &browser).await;
    super::setup::log_in(&op, &stack, &other).await;
    let mut stream = Listening::opened(&stack, &browser).await;
    let mut others = Listening::opened(&stack, &other).await;
    stack.clock.advance(Duration::from_secs(301));
    assert_eq!(stack.fetch(&browser, "POST", "/refresh").await.status, 200);
    let (name, data) = stream.event().await;
    assert_eq!(name, "refreshed");
    assert_eq!(data, json!({ "access_token_expires_in": 300 }));
    let gone = json!({ "error": "invalid_grant" });
    op.answer_with(
        crate::support::hostile_op::Endpoint::Token,
        crate::support::hostile_op::Reply::json(400, &gone),
    );
    stack.clock.advance(Duration::from_secs(301));
    assert_eq!(stack.fetch(&browser, "POST", "/refresh").await.status, 401);
    stream.ends_as_logged_out("session_ended").await;
    while others.chunk().await != ":\n\n" {}
    assert_eq!(stack.fetch(&other, "POST", "/refresh").await.status, 401);
    // Whoever heard of the first refresh would have heard it before this.
    others.ends_as_logged_out("session_ended").await;
    stack.stop().await;
}

// proves: CK-12
#[tokio::test(flavor = "multi_thread")]
async fn listening_is_no_activity_and_at_the_idle_end_the_stream_just_ends() {
    let session = "max_age = \"8h\"\nidle_timeout = \"10m\"".to_owned();
    let (stack, browser) = logged_in(Setup { session, ..Setup::default() }).await;
    let before = browser.jar();
    let mut stream = Listening::opened(&stack, &browser).await;
    for _ in 0..20 {
        stack.clock.advance(Duration::from_secs(29));
        assert_eq!(stream.chunk().await, ":\n\n", "never silent for long");
        // Opening another one is no activity, either.
        Listening::opened(&stack, &browser).await;
    }
    assert_eq!(browser.jar(), before);
    assert_eq!(stack.session(&browser).await["idle_expires_in"], 20);
    // Another tab may have been active meanwhile: the stream does not claim to know.
    stack.clock.advance(Duration::from_secs(20));
    assert_eq!(stream.chunk().await, "", "a clean end without a verdict");
    assert_eq!(stack.session(&browser).await["authenticated"], false);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_activity_elsewhere_listens_again_after_the_idle_end_by_an_old_cookie() {
    let session = "max_age = \"8h\"\nidle_timeout = \"10m\"".to_owned();
    let (stack, browser) = logged_in(Setup { session, ..Setup::default() }).await;
    let mut stream = Listening::opened(&stack, &browser).await;
    stack.clock.advance(Duration::from_secs(200));
    assert_eq!(stack.fetch(&browser, "GET", "/api/echo").await.status, 200);
    stack.clock.advance(Duration::from_secs(400));
    while stream.chunk().await == ":\n\n" {}
    let (name, times) = Listening::to(&stack, &browser).await.event().await;
    assert_eq!((name.as_str(), &times["idle_expires_in"]), ("open", &json!(200)));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_eight_streams_at_most_and_others_are_not_in_the_way() {
    let (stack, browser) = logged_in(Setup::default()).await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(Listening::opened(&stack, &browser).await);
    }
    let page = stack.fetch(&browser, "GET", "/events").await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (503, "too_many_streams"));
    assert_eq!(page.headers["retry-after"], "30");
    let other = Browser::new();
    stack.log_in(&other, "bob").await;
    Listening::opened(&stack, &other).await;
    // A reader that goes away makes room at once, not only when something is written.
    drop(streams.pop());
    for _ in 0..1_000 {
        if open_streams(&stack).await == 7 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Listening::opened(&stack, &browser).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_without_a_verdict_when_the_process_goes_down() {
    let server = "shutdown_timeout = \"1h\"".to_owned();
    let (stack, browser) = logged_in(Setup { server, ..Setup::default() }).await;
    let mut stream = Listening::opened(&stack, &browser).await;
    let stopped = tokio::spawn(stack.stop());
    assert_eq!(stream.chunk().await, "", "a clean end without a verdict");
    // With an hour to go: a stream is nothing to wait for.
    tokio::time::timeout(Duration::from_secs(20), stopped).await.expect("it is down").unwrap();
}

/// Kilobytes of this process that are in memory.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_stay_small_and_each_is_told_when_its_session_ends() {
    let (stack, _) = logged_in(Setup::default()).await;
    let mut browsers = Vec::new();
    for _ in 0..125 {
        let browser = Browser::new();
        stack.log_in(&browser, "alice").await;
        browsers.push(browser);
    }
    let before = resident();
    let mut streams = Vec::new();
    for n in 0..1_000 {
        streams.push(Listening::opened(&stack, &browsers[n % 125]).await);
    }
    assert_eq!(open_streams(&stack).await, 1_000);
    let each = resident().saturating_sub(before) / 1_000;
    // Both ends of the connection are in this process; other tests run beside.
    assert!(each < 100, "{each} kB for each stream");
    stack.clock.advance(Duration::from_secs(25));
    for stream in &mut streams {
        assert_eq!(stream.chunk().await, ":\n\n");
    }
    for browser in &browsers {
        stack.fetch(browser, "POST", "/logout").await;
    }
    for stream in streams {
        stream.ends_as_logged_out("session_ended").await;
    }
    none_is_open(&stack).await;
    stack.stop().await;
}
