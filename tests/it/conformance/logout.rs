//! The suite's modules for logout: the way to the server and back, and what the server says behind the browser's back.

use serde_json::{Value, json};

use super::oracle::{self, hold};
use super::rig::Rig;
use super::row::{Play, Row, honest, row, sign_by};
use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::HostileOp;
use crate::support::stack::LINK;

use Play::{LogoutToken, OutOfScope, Scene};

const BACK: &str = "oidcc-client-test-rp-backchannel-rpinitlogout";
/// The algorithm that was agreed on.
const AGREED: &str = "algorithms = [\"RS256\"]";

pub const ROWS: &[Row] = &[
    row(
        "oidcc-client-test-rp-init-logout",
        "L",
        "checks `id_token_hint` and the registered return address",
        Scene(|rig| Box::pin(there_and_back(rig, Said::Ours))),
    ),
    row(
        "oidcc-client-test-rp-init-logout-other-state",
        "L",
        "another `state` on return",
        Scene(|rig| Box::pin(there_and_back(rig, Said::Other))),
    ),
    row(
        "oidcc-client-test-rp-init-logout-no-state",
        "L",
        "no `state` on return",
        Scene(|rig| Box::pin(there_and_back(rig, Said::Nothing))),
    ),
    row(
        BACK,
        "L",
        "a good logout token with a claim more",
        LogoutToken(true, honest, |_, claims| claims["more"] = json!(1)),
    ),
    row(
        "oidcc-client-test-rp-backchannel-rpinitlogout-alg-none",
        "L",
        "an unsigned logout token",
        LogoutToken(false, honest, |header, _| header["alg"] = json!("none")),
    ),
    row(
        "oidcc-client-test-rp-backchannel-rpinitlogout-no-event",
        "L",
        "no `events`",
        LogoutToken(false, honest, |_, claims| drop_claim(claims, "events")),
    ),
    row(
        "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event",
        "L",
        "another event",
        LogoutToken(false, honest, |_, claims| {
            claims["events"] = json!({"https://example.com/event": {}});
        }),
    ),
    row(
        "oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce",
        "L",
        "a `nonce`",
        LogoutToken(false, honest, |_, claims| claims["nonce"] = json!("n")),
    ),
    row(
        "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg",
        "L",
        "ES256 where RS256 was agreed",
        LogoutToken(false, |op| sign_by(op, "ES256"), |_, _| {}),
    )
    .with(AGREED),
    row(
        "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud",
        "L",
        "another `aud`",
        LogoutToken(false, honest, |_, claims| claims["aud"] = json!("other")),
    ),
    row(
        "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss",
        "L",
        "another `iss`",
        LogoutToken(false, honest, |_, claims| claims["iss"] = json!("https://other.example")),
    ),
    row(
        "oidcc-client-test-rp-frontchannel-rpinitlogout",
        "L",
        "an iframe with `iss` and `sid`",
        OutOfScope("browsers send no cookies into frames of other sites"),
    ),
    row(
        "oidcc-client-test-rp-frontchannel-opinitlogout",
        "L",
        "an iframe with `iss` and `sid`",
        OutOfScope("browsers send no cookies into frames of other sites"),
    ),
    row(
        "oidcc-client-test-session-management",
        "L",
        "a check_session iframe",
        OutOfScope("browsers send no cookies into frames of other sites"),
    ),
    row(
        "logout-of-an-unknown-session",
        "ours",
        "a logout token about a session that nobody has",
        Scene(|rig| Box::pin(unknown_session(rig))),
    ),
    row(
        "logout-before-the-callback",
        "ours",
        "the session ends there before the login has ended here",
        Scene(|rig| Box::pin(too_early(rig))),
    ),
];

fn drop_claim(claims: &mut Value, name: &str) {
    claims.as_object_mut().unwrap().remove(name);
}

/// The `state` that comes back.
#[derive(Clone, Copy)]
enum Said {
    Ours,
    Other,
    Nothing,
}

/// Logs in and out; the server wants its hint and the registered address, and sends the browser back.
async fn there_and_back(rig: &Rig, said: Said) -> Result<(), String> {
    let landing = rig.log_in().await;
    oracle::logged_in(rig, &landing).await?;
    hold(rig.fetch("POST", "/logout").await.status == 200, "POST /logout")?;
    hold(!rig.is_in().await, "the session is over before the browser leaves")?;
    let url = format!("{}/logout/continue", rig.app);
    let away = rig.browser.send("GET", &url, &LINK, "").await;
    let target = away.redirect().ok_or("no way to the server")?;
    hold(target.as_str().starts_with(&format!("{}/end_session?", rig.op.issuer)), "end_session")?;
    let query: Vec<(String, String)> = target.query_pairs().into_owned().collect();
    let value =
        |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, it)| it.as_str());
    let home = format!("{}/logged-out", rig.app);
    hold(value("id_token_hint").is_some_and(|hint| hint.starts_with("eyJ")), "id_token_hint")?;
    hold(value("post_logout_redirect_uri") == Some(&home), "post_logout_redirect_uri")?;
    hold(value("state").is_some_and(|state| state.len() >= 16), "state")?;
    let back = match said {
        Said::Ours => {
            rig.browser.get(target.as_str()).await.redirect().ok_or("no way back")?.into()
        }
        Said::Other => format!("{home}?state=other"),
        Said::Nothing => home,
    };
    let page = rig.browser.get_from_elsewhere(&back).await;
    hold(page.headers["location"] == format!("{}/", rig.app), "the app, whatever came back")?;
    hold(!rig.is_in().await, "still out")
}

/// Logs in, and tells of the end of that session as the server does, a form field more included.
pub async fn tell(
    rig: &Rig,
    taken: bool,
    switch: fn(&HostileOp),
    change: fn(&mut Value, &mut Value),
) -> Result<(), String> {
    let landing = rig.log_in().await;
    oracle::logged_in(rig, &landing).await?;
    switch(&rig.op);
    let page = said(rig, change).await;
    let wanted = if taken { 200 } else { 400 };
    hold(page.status == wanted, format!("{} instead of {wanted}", page.status))?;
    hold(page.headers["cache-control"] == "no-store", "no-store")?;
    hold(rig.is_in().await != taken, "the session ends by a good token only")
}

/// The answer to a logout token about the session that every login here belongs to, changed.
async fn said(rig: &Rig, change: impl FnOnce(&mut Value, &mut Value)) -> Page {
    let token = rig.op.logout_token(|header, claims| {
        claims["sid"] = json!("op-session");
        change(header, claims);
    });
    let form = ("content-type", "application/x-www-form-urlencoded");
    let url = format!("{}/backchannel-logout", rig.app);
    let body = format!("logout_token={token}&more=1");
    Browser::new().send("POST", &url, &[form], &body).await
}

/// Taken, as the session may have been here once; nobody else is logged out by it.
async fn unknown_session(rig: &Rig) -> Result<(), String> {
    let landing = rig.log_in().await;
    oracle::logged_in(rig, &landing).await?;
    let page = said(rig, |_, claims| claims["sid"] = json!("nobody")).await;
    hold(page.status == 200, format!("{} instead of 200", page.status))?;
    hold(rig.is_in().await, "another session goes on")
}

/// The browser is on its way back when the server says that the session is over: it must not begin here.
async fn too_early(rig: &Rig) -> Result<(), String> {
    let authorize = rig.begin().await.authorize.ok_or("no login")?;
    let page = said(rig, |_, _| {}).await;
    hold(page.status == 200, format!("{} instead of 200", page.status))?;
    rig.finish(&authorize).await;
    hold(!rig.is_in().await, "the session that ended before it began is here")?;
    hold(rig.fetch("GET", "/api/accounts").await.status == 401, "and calls no API")
}
