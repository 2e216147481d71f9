//! The whole server before an authorization server that does what polite ones never will, and a login in one line.

use cloakroom::clock::Clock;

use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::HostileOp;
use crate::support::stack::{CLIENT_ID, CLIENT_SECRET, Setup, Stack};

/// A server that knows the client of the tests.
pub async fn hostile_op(clock: Clock) -> HostileOp {
    let op = HostileOp::start(clock).await;
    op.turn(|knobs| {
        CLIENT_ID.clone_into(&mut knobs.client_id);
        CLIENT_SECRET.clone_into(&mut knobs.client_secret);
    });
    op
}

/// The product and such a server; failing logins do not stop a test.
pub async fn hostile() -> (HostileOp, Stack) {
    hostile_with(Setup::default()).await
}

/// The same, set up otherwise.
pub async fn hostile_with(setup: Setup) -> (HostileOp, Stack) {
    let op = hostile_op(setup.clock.clone()).await;
    let login = format!("loop_limit = 100\n{}", setup.login);
    let stack = Stack::start(Setup { issuer: Some(op.issuer.clone()), login, ..setup }).await;
    (op, stack)
}

/// The callback URL that the authorization server sends the browser to.
pub fn callback(op: &HostileOp, authorize: &str, callback: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(op.authorize(authorize));
    format!("{callback}?{}", query.finish())
}

/// A whole login; gives the answer to the callback.
pub async fn log_in(op: &HostileOp, stack: &Stack, browser: &Browser) -> Page {
    let authorize = stack.begin_login(browser, "?return_to=/").await;
    browser.get_from_elsewhere(&callback(op, &authorize, &stack.url("/callback"))).await
}

/// The `auth_error` with which the browser was sent back to the app.
pub fn error_of(page: &Page) -> Option<String> {
    let target = page.redirect()?;
    target.query_pairs().find(|(name, _)| name == "auth_error").map(|(_, code)| code.into_owned())
}
