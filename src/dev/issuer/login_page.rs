//! What a user sees: choose a demo user, consent, a refused request, signed out. One click each, no script.

use std::fmt::Write as _;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use crate::dev::users::{USERS, User};
use crate::edge::pages::escape;

use super::Issuer;
use super::html::page;
use super::request::AuthorizationRequest;
use super::sign_on::SignOn;

/// Choose who you are; a `login_hint` puts the focus on its user.
pub fn login_page(issuer: &Issuer, asked: &AuthorizationRequest) -> HttpResponse {
    let hint = asked.login_hint.as_deref().unwrap_or_default();
    let hinted = USERS.iter().find(|user| user.is_hinted_by(hint)).map_or("", |user| user.sub);
    let mut buttons = String::new();
    for User { sub, name, email, region } in &USERS {
        let focus = if *sub == hinted { " autofocus" } else { "" };
        let initial = name.get(..1).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(
            buttons,
            "<button name=\"user\" value=\"{sub}\"{focus}>\
             <span class=\"face\" aria-hidden=\"true\">{initial}</span>\
             <span class=\"who\"><strong>{name}</strong><small>{email}, region {region}</small></span></button>"
        );
    }
    let main = format!(
        "<p>to go on to <strong>{}</strong></p>\n<form method=\"post\" action=\"/login?{}\">\n{buttons}</form>",
        escape(&issuer.options.client_id),
        escape(&asked.query)
    );
    let title = if asked.confirm { "Confirm that it is you" } else { "Sign in" };
    page(StatusCode::OK, title, &main, Some(&asked.redirect_uri))
}

/// Say what the client may do.
pub fn consent_page(issuer: &Issuer, asked: &AuthorizationRequest, user: &SignOn) -> HttpResponse {
    let mut wishes = String::new();
    for scope in asked.scope.split(' ') {
        let _ = write!(wishes, "<li>{}</li>", escape(in_words(scope)));
    }
    let main = format!(
        "<p><strong>{}</strong> asks {} for:</p>\n<ul>{wishes}</ul>\n\
         <form method=\"post\" action=\"/consent?{}\">\n\
         <button class=\"main\" name=\"consent\" value=\"yes\">Allow</button>\n\
         <button class=\"plain\" name=\"consent\" value=\"no\">Do not allow</button>\n</form>",
        escape(&issuer.options.client_id),
        escape(&user.sub),
        escape(&asked.query)
    );
    page(StatusCode::OK, "Allow access?", &main, Some(&asked.redirect_uri))
}

/// A request that cannot be answered to anybody but the user. `reason` is a fixed text, never input.
pub fn refusal_page(reason: &'static str) -> HttpResponse {
    let main = format!("<p>This sign-in request was refused: {reason}.</p>");
    page(StatusCode::BAD_REQUEST, "This does not work", &main, None)
}

/// After a logout that returns nowhere.
pub fn signed_out_page() -> HttpResponse {
    page(StatusCode::OK, "Signed out", "<p>You can close this tab.</p>", None)
}

fn in_words(scope: &str) -> &str {
    match scope {
        "openid" => "know who you are",
        "profile" => "see your name and region",
        "email" => "see your email address",
        "sales" => "work with sales data on your behalf",
        other => other,
    }
}
