//! A user who has signed in with a browser of their own, and what the authorization server calls a grant.

use std::time::Duration;

use cloakroom::clock::{Clock, Timestamp};
use serde_json::Value;

use super::front::{Answered, Front};
use super::stage::Stage;
use crate::support::browser::{Browser, login};
use crate::support::stack::LINK;

/// See the module.
pub struct Visitor {
    pub user: String,
    pub browser: Browser,
    /// Which family of refresh tokens is theirs: see [`super::gate`].
    pub family: usize,
}

impl Visitor {
    /// Signs `user` in, through nginx and the authorization server's own pages. One at a time, so that the family is known.
    pub async fn sign_in(stage: &Stage, user: &str) -> Self {
        let browser = Browser::new();
        let page = format!("{}login?return_to=/", stage.front.origin);
        let page = browser.send("GET", &page, &LINK, "").await;
        let authorize = page.redirect().expect("a redirect to the authorization server");
        let callback = login(&browser, authorize.as_str(), user).await;
        let landed = browser.get_from_elsewhere(&callback).await;
        let home = landed.redirect().map(String::from);
        assert_eq!(home.as_deref(), Some(stage.front.origin.as_str()), "{user} is signed in");
        Self { user: user.to_owned(), browser, family: stage.gate.families() - 1 }
    }

    /// Where the API answers this user and nobody else.
    pub fn path(&self) -> String {
        format!("/api/of/{}", self.user)
    }

    /// The cookies of this browser now.
    pub fn cookies(&self, front: &Front) -> String {
        self.browser.cookie_line(&front.origin)
    }

    /// A call to the API with these cookies; the browser takes what comes with the answer.
    pub async fn call_with(&self, front: &Front, cookies: &str) -> Answered {
        let answered = front.call("GET", &self.path(), cookies).await;
        self.take(front, &answered);
        answered
    }

    /// A call to the API.
    pub async fn call(&self, front: &Front) -> Answered {
        self.call_with(front, &self.cookies(front)).await
    }

    /// `GET /session`, which changes nothing; `None` when nobody is signed in or no answer comes.
    pub async fn session(&self, front: &Front) -> Option<Value> {
        let answered = front.call("GET", "/session", &self.cookies(front)).await;
        let told: Value = serde_json::from_str(&answered.body).ok()?;
        (told["authenticated"] == true).then_some(told)
    }

    /// When the access token ends.
    pub async fn token_ends(&self, front: &Front) -> Option<Timestamp> {
        let left = self.session(front).await?["access_token_expires_in"].as_u64()?;
        Some(Clock::system().now().plus(Duration::from_secs(left)))
    }

    fn take(&self, front: &Front, answered: &Answered) {
        for line in &answered.set_cookies {
            self.browser.store(&front.origin, line);
        }
    }
}
